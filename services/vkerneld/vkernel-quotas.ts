// What each virtual kernel of the node may have, as somebody said it, whether it runs or not.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField, notFound } from '@odonata/rpc/refusal.ts';

/** 0: as any virtual kernel. */
export interface Quota {
  /** Pages of its processes, private and shared ones, in frames and in swap. */
  readonly memoryBytes: number;
  readonly cpuWeight: number;
  /** Thousandths of a processor. */
  readonly cpuMillis: number;
  readonly processes: number;
  readonly dataspaces: number;
  /** Of the home, and of /tmp. */
  readonly diskBytes: number;
  readonly descriptors: number;
}

/** What is to be another. */
export type QuotaChange = { readonly [K in keyof Quota]?: Quota[K] | undefined };

export interface Defined {
  readonly name: string;
  readonly user: string;
  readonly quota: Quota;
  /** Its service said it, and nobody else. */
  readonly ofService?: boolean;
}

export const NO_QUOTA: Quota = {
  ...{ memoryBytes: 0, cpuWeight: 0, cpuMillis: 0, processes: 0, dataspaces: 0 },
  ...{ diskBytes: 0, descriptors: 0 },
};

/** Of one node. */
export const DEFINED_MAX = 1_000;
const CPU_MILLIS_MIN = 10;
const MEMORY_MIN = 1 << 20;
const DISK_MIN = 1 << 16;

export class VkernelQuotas {
  readonly #byKey = new Map<string, Defined>();
  /** Undefined: parts of the processors can be bounded here. */
  readonly #lacksCpu: () => string | undefined;

  /** @param known what an earlier supervisor was told */
  constructor(known: readonly Defined[], keyOf: (of: Defined) => string, lacksCpu: () => string | undefined) {
    for (const each of known) this.#byKey.set(keyOf(each), each);
    this.#lacksCpu = lacksCpu;
  }

  of(key: string): Quota {
    return this.#byKey.get(key)?.quota ?? NO_QUOTA;
  }

  /** Whether anybody said something of it. */
  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  all(): Iterable<[key: string, defined: Defined]> {
    return this.#byKey;
  }

  /** @throws RpcError ALREADY_EXISTS, NOT_FOUND, INVALID_ARGUMENT, FAILED_PRECONDITION, RESOURCE_EXHAUSTED */
  set(
    key: string,
    { name, user }: { name: string; user: string },
    change: QuotaChange,
    create: boolean,
  ): void {
    const before = this.#byKey.get(key);
    if (create && before !== undefined)
      throw new RpcError(
        Code.AlreadyExists,
        `virtual kernel ${key} is there already; vkctl vkernel set changes what it may have`,
      );
    if (before === undefined && this.#byKey.size >= DEFINED_MAX)
      throw new RpcError(
        Code.ResourceExhausted,
        `${DEFINED_MAX} virtual kernels are known here; vkctl vkernel rm removes one`,
      );
    const given = Object.entries(change).filter(([, value]) => value !== undefined);
    const quota = { ...NO_QUOTA, ...before?.quota, ...Object.fromEntries(given) };
    this.#expectPossible(quota);
    this.#byKey.set(key, { name, user, quota });
  }

  /** What a service has, unless somebody who may said something of its virtual kernel. @throws RpcError FAILED_PRECONDITION */
  setForService(key: string, who: { name: string; user: string }, quota: Quota): void {
    const before = this.#byKey.get(key);
    if (before !== undefined && before.ofService !== true) return;
    const isAny = Object.values(quota).every((value) => value === 0);
    if (isAny) {
      this.#byKey.delete(key);
      return;
    }
    this.#expectPossible(quota);
    this.#byKey.set(key, { ...who, quota, ofService: true });
  }

  /** But not what its service said. @returns whether there was something */
  forget(key: string): boolean {
    return this.#byKey.get(key)?.ofService !== true && this.#byKey.delete(key);
  }

  forgetService(key: string): void {
    if (this.#byKey.get(key)?.ofService === true) this.#byKey.delete(key);
  }

  #expectPossible({ memoryBytes, diskBytes, cpuWeight, cpuMillis }: Quota): void {
    if (diskBytes > 0 && diskBytes < DISK_MIN)
      throw invalidField('quota.disk_bytes', `64 KiB is the least, not ${diskBytes} bytes`);
    if (memoryBytes > 0 && memoryBytes < MEMORY_MIN)
      throw invalidField('quota.memory_bytes', `1 MiB is the least, not ${memoryBytes} bytes`);
    if (cpuMillis > 0 && cpuMillis < CPU_MILLIS_MIN)
      throw invalidField('quota.cpu_millis', `0.01 of a processor is the least, not ${cpuMillis / 1000}`);
    if (cpuWeight === 0 && cpuMillis === 0) return;
    const lacks = this.#lacksCpu();
    if (lacks !== undefined) throw new RpcError(Code.FailedPrecondition, lacks);
  }

  /** @throws RpcError NOT_FOUND */
  remove(key: string): void {
    if (!this.#byKey.delete(key))
      throw notFound({ type: 'vkernel', name: key }, `nobody said what virtual kernel ${key} may have`);
  }
}
