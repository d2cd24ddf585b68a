// Virtual kernels of the nodes: what each may have and has, its end.
import type { Vkernel, VkernelQuota } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { anyOf } from './abort.ts';
import type { Connection } from './connection.ts';
import { onEachNode, tellEachNode } from './on-each-node.ts';
import { overRouters } from './over-routers.ts';
import { ofEachNode, type Silent } from './process-list.ts';
import { nodesKnown, restingNodes } from './resting-nodes.ts';
import { Wanted } from './wanted.ts';

const ANSWER_MS = 5_000;
/** One that is halted has some seconds to end by itself. */
const HALT_MS = 15_000;

/** Which: on all nodes, also those that join later, unless a node is named. */
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
interface KeptOptions extends Options {
  /** Is told the nodes that rest or are away: they take it when they are back. */
  onAway?: ((nodes: string[]) => void) | undefined;
}
interface ChangeOptions extends KeptOptions {
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

  /**
   * On each of them, or on none; those that are away take it when they are back.
   * @throws RpcError ALREADY_EXISTS; FAILED_PRECONDITION for what a machine cannot hold it to
   */
  create(which: VkernelName, quota: QuotaChange, options: ChangeOptions = {}): Promise<Vkernel[]> {
    const { name, user = '' } = which;
    const made: string[] = [];
    let failed: unknown;
    const said = { quota: quotaOf(quota), ...namesOf(options) };
    const created = this.#tellEach(which, options, said, async (node, asked) => {
      // All of it or nothing: after the first that cannot, nobody else is asked.
      if (failed !== undefined) throw failed;
      try {
        const { vkernel } = await this.#to
          .vkerneld(node)
          .setVkernel({ name, user, ...said, create: true }, asked);
        made.push(node);
        return vkernel!;
      } catch (error) {
        if (!RpcError.is(error, Code.Unavailable) && !RpcError.is(error, Code.DeadlineExceeded))
          failed = error;
        throw error;
      }
    });
    return created.catch(async (error) => {
      // The same can be said again.
      const asked = { deadlineMs: ANSWER_MS, signal: this.#to.closed };
      const forget = (node: string) => this.#to.vkerneld(node).removeVkernel({ name, user }, asked);
      await Promise.allSettled(made.map(forget));
      throw failed ?? error;
    });
  }

  /** @throws RpcError NOT_FOUND: there is none of that name; FAILED_PRECONDITION */
  set(which: VkernelName, quota: QuotaChange, options: ChangeOptions = {}): Promise<Vkernel[]> {
    const { name, user = '' } = which;
    const said = { quota: quotaOf(quota), ...namesOf(options) };
    return this.#tellEach(
      which,
      options,
      said,
      async (node, asked) =>
        (await this.#to.vkerneld(node).setVkernel({ name, user, ...said, create: false }, asked)).vkernel!,
    );
  }

  /** Ends it with all that runs in it. What was said of it stays. @throws RpcError NOT_FOUND: none of that name runs */
  halt(which: VkernelName, options: Options = {}): Promise<{ node: string; processes: number }[]> {
    return this.#onEach(which, options, { deadlineMs: HALT_MS }, async (node, asked) => {
      const request = { name: which.name, user: which.user ?? '' };
      return { node, processes: (await this.#to.vkerneld(node).haltVkernel(request, asked)).processes };
    });
  }

  /** Forgets what was said of it. @throws RpcError NOT_FOUND; FAILED_PRECONDITION: it runs */
  async remove(which: VkernelName, options: KeptOptions = {}): Promise<{ node: string }[]> {
    const { name, user = '' } = which;
    const { either, nodes } = await this.#nodesOf(which, options);
    const ask = async (node: string) => {
      await this.#to.vkerneld(node).removeVkernel({ name, user }, { deadlineMs: ANSWER_MS, signal: either });
      return { node };
    };
    const of = { name, user, node: which.node ?? '' };
    const keep = async () => (await new Wanted(this.#to).forgetVkernel(of, either)) !== undefined;
    const { answers, away } = await tellEachNode(nodes, ask, keep).catch((error) => {
      throw nowhere(error, nodes.names);
    });
    if (away.length > 0) options.onAway?.(away);
    return answers;
  }

  /** On the node that is named; else on all that have one of that name: then some has to. */
  async #onEach<T>(
    which: VkernelName,
    options: Options,
    { deadlineMs }: { deadlineMs: number },
    ask: (node: string, asked: { deadlineMs: number; signal: AbortSignal | undefined }) => Promise<T>,
  ): Promise<T[]> {
    const either = anyOf(this.#to.closed, options.signal);
    const names = await this.#runningOf(which, either);
    return await onEachNode(names, (name) => ask(name, { deadlineMs, signal: either })).catch((error) => {
      throw nowhere(error, names);
    });
  }

  /** The same of what is said of it, which is kept for those that are away or come later. */
  async #tellEach<T>(
    which: VkernelName,
    options: ChangeOptions,
    said: Parameters<Wanted['keepVkernel']>[1],
    ask: (node: string, asked: { deadlineMs: number; signal: AbortSignal | undefined }) => Promise<T>,
  ): Promise<T[]> {
    const { either, nodes } = await this.#nodesOf(which, options);
    const of = { name: which.name, user: which.user ?? '', node: which.node ?? '' };
    const keep = async () => (await new Wanted(this.#to).keepVkernel(of, said, either)) ?? false;
    const asked = (name: string) => ask(name, { deadlineMs: ANSWER_MS, signal: either });
    const { answers, away } = await tellEachNode(nodes, asked, keep).catch((error) => {
      throw nowhere(error, nodes.names);
    });
    if (away.length > 0) options.onAway?.(away);
    return answers;
  }

  /** Without those that rest: nothing runs there. */
  async #runningOf({ node: only }: VkernelName, signal: AbortSignal | undefined): Promise<string[]> {
    if (only !== undefined) return [(await this.#to.node(only, signal)).name];
    const nodes = await this.#to.nodes(signal);
    const asks = nodes.some(({ vkerneld }) => vkerneld === undefined);
    const resting = asks ? await restingNodes(this.#to, signal) : new Set<string>();
    return nodes.map(({ name }) => name).filter((name) => !resting.has(name));
  }

  /** All that belong to the cluster. */
  async #nodesOf({ node: only }: VkernelName, { signal }: Options) {
    const either = anyOf(this.#to.closed, signal);
    return { either, nodes: await nodesKnown(this.#to, only, either) };
  }
}

/** It is on none of them: the last one that was asked is nothing special. */
const nowhere = (error: unknown, nodes: readonly string[]): unknown =>
  RpcError.is(error, Code.NotFound) && nodes.length > 1
    ? new RpcError(
        error.code,
        error.details.replace(` on ${nodes.at(-1)}:`, ` on any of ${nodes.length} nodes:`),
      )
    : error;

const namesOf = ({ names }: ChangeOptions) => (names === undefined ? {} : { names });

const quotaOf = ({ memoryBytes, diskBytes, ...rest }: QuotaChange): Partial<VkernelQuota> =>
  ({
    ...rest,
    memoryBytes: memoryBytes === undefined ? undefined : BigInt(memoryBytes),
    diskBytes: diskBytes === undefined ? undefined : BigInt(diskBytes),
  }) as Partial<VkernelQuota>;
