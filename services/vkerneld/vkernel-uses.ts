// What virtual kernels have: of memory and dataspaces as their pmap manager says, of the processors as the machine does. The pmap
// manager is told on the same way what each may have, again and again: it may be another one by now.
import { ownTurn } from '@odonata/rpc/bug.ts';
import { processStat } from '@odonata/rpc/process-stat.ts';

const LOOK_EVERY_MS = 2_000;

export interface Use {
  readonly memoryBytes: number;
  readonly dataspaces: number;
  readonly cpuMs: number;
  /** Thousandths of a processor, since the last look. */
  readonly cpuMillis: number;
}

export const NO_USE: Use = { memoryBytes: 0, dataspaces: 0, cpuMs: 0, cpuMillis: 0 };

/** A virtual kernel that runs. */
export interface Running {
  readonly key: string;
  readonly hostPid: number;
}

export type PmapUses = ReadonlyMap<string, Pick<Use, 'memoryBytes' | 'dataspaces'>>;

export class VkernelUses {
  readonly #running: () => Running[];
  readonly #ask: () => Promise<PmapUses>;
  #uses = new Map<string, Use & { readonly atMs: number; readonly hostPid: number }>();
  #asking: Promise<void> | undefined;
  readonly #timer: NodeJS.Timeout;

  /** @param ask tells the pmap manager what each may have, and hears what each has */
  constructor(running: () => Running[], ask: () => Promise<PmapUses>) {
    this.#running = running;
    this.#ask = ask;
    const look = ownTurn({ timer: 'uses of virtual kernels' }, () => {
      // Who waits for an answer asks again.
      void this.look().catch(() => {});
    });
    this.#timer = setInterval(look, LOOK_EVERY_MS).unref();
  }

  of(key: string): Use {
    return this.#uses.get(key) ?? NO_USE;
  }

  /** One look at a time. @throws RpcError where the pmap manager does not answer; what the machine says is known all the same */
  look(): Promise<void> {
    this.#asking ??= this.#look().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #look(): Promise<void> {
    const before = this.#uses;
    this.#uses = new Map(this.#running().map((each) => [each.key, this.#onMachine(each)]));
    for (const [key, { memoryBytes, dataspaces }] of before) {
      const now = this.#uses.get(key);
      if (now !== undefined) this.#uses.set(key, { ...now, memoryBytes, dataspaces });
    }
    for (const [key, use] of await this.#ask()) {
      const now = this.#uses.get(key);
      if (now !== undefined) this.#uses.set(key, { ...now, ...use });
    }
  }

  #onMachine({ key, hostPid }: Running): Use & { atMs: number; hostPid: number } {
    const atMs = performance.now();
    const cpuMs = cpuMsOf(hostPid);
    const before = this.#uses.get(key);
    const isSame = before?.hostPid === hostPid;
    const lookMs = isSame ? Math.max(1, atMs - before.atMs) : 1;
    const cpuMillis = isSame ? Math.max(0, Math.round(((cpuMs - before.cpuMs) * 1000) / lookMs)) : 0;
    return { ...NO_USE, cpuMs, cpuMillis, atMs, hostPid };
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

function cpuMsOf(hostPid: number): number {
  try {
    return processStat(hostPid)?.cpuMs ?? 0;
  } catch {
    return 0;
  }
}
