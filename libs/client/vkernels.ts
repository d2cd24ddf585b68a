// Virtual kernels of the nodes: what each may have and has, its end.
import type { Vkernel, VkernelQuota } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { anyOf } from './abort.ts';
import type { Connection } from './connection.ts';
import { onEachNode } from './on-each-node.ts';
import { overRouters } from './over-routers.ts';
import { ofEachNode, type Silent } from './process-list.ts';

const ANSWER_MS = 5_000;
/** One that is halted has some seconds to end by itself. */
const HALT_MS = 15_000;

/** Which: on all nodes that have one of that name, unless a node is named. */
export interface VkernelName {
  name: string;
  /** Whose; absent: ours. */
  user?: string | undefined;
  node?: string | undefined;
}

/** What is to be another; 0: as of any virtual kernel. */
export interface QuotaChange {
  /** Pages of its processes, private and shared ones, in frames and in swap. */
  memoryBytes?: number | undefined;
  /** Its part of the processors where others want them, too; 100 where nobody said. */
  cpuWeight?: number | undefined;
  /** Thousandths of a processor, also where nobody else wants it. */
  cpuMillis?: number | undefined;
  processes?: number | undefined;
  /** Open at one time, each counted for each process. */
  dataspaces?: number | undefined;
  /** Bytes of the home of its programs, and of their /tmp. */
  diskBytes?: number | undefined;
  /** Open at one time, of all of its programs. */
  descriptors?: number | undefined;
}

export interface VkernelList {
  /** By node and name; also those that do not run, of which somebody said what they may have (`hostPid` 0). */
  vkernels: Vkernel[];
  silent: Silent[];
}

/** Names that its programs may use besides those of its user (docs/syslink.md). */
export interface NamesAllowed {
  listen: string[];
  connect: string[];
  /** Not even those of its user. */
  none: boolean;
}

interface Options {
  signal?: AbortSignal;
}
interface ChangeOptions extends Options {
  /** Absent: as it was. */
  names?: NamesAllowed | undefined;
}

export class Vkernels {
  readonly #to: Connection;

  constructor(to: Connection) {
    this.#to = to;
  }

  list({ node, signal }: Options & { node?: string | undefined } = {}): Promise<VkernelList> {
    const either = anyOf(this.#to.closed, signal);
    const asked = { deadlineMs: ANSWER_MS, signal: either };
    const listed = async () => {
      if (node !== undefined) await this.#to.node(node, either);
      const { items, silent } = await ofEachNode(this.#to, either, async (each) =>
        node === undefined || node === each
          ? (await this.#to.vkerneld(each).listVkernels({}, asked)).vkernels
          : [],
      );
      return { vkernels: items, silent };
    };
    return overRouters(this.#to, listed, either);
  }

  /** On each of them, or on none. @throws RpcError ALREADY_EXISTS; FAILED_PRECONDITION for what a machine cannot hold it to */
  create(which: VkernelName, quota: QuotaChange, options: ChangeOptions = {}): Promise<Vkernel[]> {
    const { name, user = '' } = which;
    const made: string[] = [];
    const created = this.#onEach(which, options, { everywhere: true }, async (node, asked) => {
      const request = { name, user, quota: quotaOf(quota), create: true, ...namesOf(options) };
      const { vkernel } = await this.#to.vkerneld(node).setVkernel(request, asked);
      made.push(node);
      return vkernel!;
    });
    return created.catch(async (error) => {
      // All of it or nothing: the same can be said again.
      const asked = { deadlineMs: ANSWER_MS, signal: this.#to.closed };
      const forget = (node: string) => this.#to.vkerneld(node).removeVkernel({ name, user }, asked);
      await Promise.allSettled(made.map(forget));
      throw error;
    });
  }

  /** @throws RpcError NOT_FOUND: there is none of that name; FAILED_PRECONDITION */
  set(which: VkernelName, quota: QuotaChange, options: ChangeOptions = {}): Promise<Vkernel[]> {
    return this.#onEach(which, options, {}, async (node, asked) => {
      const about = { name: which.name, user: which.user ?? '', create: false };
      const request = { ...about, quota: quotaOf(quota), ...namesOf(options) };
      return (await this.#to.vkerneld(node).setVkernel(request, asked)).vkernel!;
    });
  }

  /** Ends it with all that runs in it. What was said of it stays. @throws RpcError NOT_FOUND: none of that name runs */
  halt(which: VkernelName, options: Options = {}): Promise<{ node: string; processes: number }[]> {
    return this.#onEach(which, options, { deadlineMs: HALT_MS }, async (node, asked) => {
      const request = { name: which.name, user: which.user ?? '' };
      return { node, processes: (await this.#to.vkerneld(node).haltVkernel(request, asked)).processes };
    });
  }

  /** Forgets what was said of it. @throws RpcError NOT_FOUND; FAILED_PRECONDITION: it runs */
  remove(which: VkernelName, options: Options = {}): Promise<{ node: string }[]> {
    return this.#onEach(which, options, {}, async (node, asked) => {
      await this.#to.vkerneld(node).removeVkernel({ name: which.name, user: which.user ?? '' }, asked);
      return { node };
    });
  }

  /** On the node that is named; else on all that there are, or that have one of that name: then some has to. */
  async #onEach<T>(
    { node: only }: VkernelName,
    { signal }: Options,
    { everywhere = false, deadlineMs = ANSWER_MS }: { everywhere?: boolean; deadlineMs?: number },
    ask: (node: string, asked: { deadlineMs: number; signal: AbortSignal | undefined }) => Promise<T>,
  ): Promise<T[]> {
    const either = anyOf(this.#to.closed, signal);
    const nodes = only === undefined ? await this.#to.nodes(either) : [await this.#to.node(only, either)];
    const names = nodes.map(({ name }) => name);
    const asked = (name: string) => ask(name, { deadlineMs, signal: either });
    if (everywhere) {
      const answers: T[] = [];
      for (const name of names) answers.push(await asked(name));
      return answers;
    }
    return await onEachNode(names, asked).catch((error) => {
      throw RpcError.is(error, Code.NotFound) && names.length > 1 ? nowhere(error, names) : error;
    });
  }
}

/** It is on none of them: the last one that was asked is nothing special. */
const nowhere = (missing: RpcError, nodes: readonly string[]): RpcError =>
  new RpcError(
    missing.code,
    missing.details.replace(` on ${nodes.at(-1)}:`, ` on any of ${nodes.length} nodes:`),
  );

const namesOf = ({ names }: ChangeOptions) => (names === undefined ? {} : { names });

const quotaOf = ({ memoryBytes, diskBytes, ...rest }: QuotaChange): Partial<VkernelQuota> =>
  ({
    ...rest,
    memoryBytes: memoryBytes === undefined ? undefined : BigInt(memoryBytes),
    diskBytes: diskBytes === undefined ? undefined : BigInt(diskBytes),
  }) as Partial<VkernelQuota>;
