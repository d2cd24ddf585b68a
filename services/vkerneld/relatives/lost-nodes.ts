// When a node is lost: its home does not answer, and the coherency directory has ended its lease, so that nothing there can use what is
// shared any more. A broken line alone is never that.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { askAnyReplica } from './any-replica.ts';
import type { Peers } from './peers.ts';

const ASK_MS = 3_000;
/** A home that was started again answers before that. */
const TRIES = 2;

/** Nodes that may use what is shared. @throws RpcError where no replica of the directory says */
export async function members(syslink: SyslinkEndpoint): Promise<readonly string[]> {
  const asked = askAnyReplica(syslink, (directory) => directory.listMembers({}, { deadlineMs: ASK_MS }));
  return (await asked).nodes;
}

const AWAY: ReadonlySet<Code> = new Set([Code.Unavailable, Code.NotFound, Code.DeadlineExceeded]);

export class LostNodes {
  readonly #peers: Peers;
  readonly #syslink: () => SyslinkEndpoint | undefined;
  readonly #log: Logger;
  readonly #tries = new Map<number, number>();

  constructor(options: { peers: Peers; syslink: () => SyslinkEndpoint | undefined; log: Logger }) {
    this.#peers = options.peers;
    this.#syslink = options.syslink;
    this.#log = options.log;
  }

  /** It answered. */
  isThere(node: number): void {
    this.#tries.delete(node);
  }

  /** It did not answer. True: it is lost, and fenced. */
  async isLost(node: number, error: unknown): Promise<boolean> {
    if (!RpcError.is(error) || !AWAY.has(error.code)) return false;
    const tries = (this.#tries.get(node) ?? 0) + 1;
    this.#tries.set(node, tries);
    const name = this.#peers.nameOf(node);
    const syslink = this.#syslink();
    if (tries < TRIES || name === undefined || syslink === undefined) return false;
    try {
      return !(await members(syslink)).includes(name);
    } catch (error) {
      this.#log.debug({ err: error, node: name }, 'nobody says whether a node is fenced');
      return false;
    }
  }
}
