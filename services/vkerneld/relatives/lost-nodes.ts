// When a node is lost: its home does not answer, and the coherency directory has ended its lease, so that nothing there can use what is
// shared any more. A broken line alone is never that.
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import type { Peers } from './peers.ts';

const ASK_MS = 3_000;
/** A home that was started again answers before that. */
const TRIES = 2;

/** Nodes that may use what is shared. Any replica of the directory knows; the first that answers tells. @throws RpcError where none does */
export async function members(syslink: SyslinkEndpoint): Promise<readonly string[]> {
  const endpoints = await syslink.listEndpoints();
  const replicas = endpoints.filter(({ kind }) => kind === EndpointKind.DIRECTORY);
  const asked = replicas.map(({ name }) =>
    syslink.client(DirectoryService, { name }).listMembers({}, { deadlineMs: ASK_MS }),
  );
  return (await Promise.any(asked)).nodes;
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
