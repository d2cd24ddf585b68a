// On which node a child runs, where its parent names none: libs/processes/placement.ts chooses, by what nodes say of themselves.
import { availableParallelism } from 'node:os';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { Home } from '@odonata/processes/home.ts';
import { type Candidate, choosePlace } from '@odonata/processes/placement.ts';
import type { GetNodeStatsResponse } from '@odonata/proto/pmap/v1/pmap';
import { Placement, type SpawnChild } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import type { Process } from '../process-table.ts';
import { Errno, WasiError } from '../vkernel/wasi/errno.ts';
import { askAnyReplica } from './any-replica.ts';
import type { Peer, Peers } from './peers.ts';

const ASK_MS = 3_000;

/** What a node says of itself to those that choose one. */
export interface Load {
  processes: number;
  cores: number;
  freeBytes: bigint;
}

export interface PlacingOptions {
  readonly node: string;
  readonly running: () => number;
  readonly stats: () => Promise<GetNodeStatsResponse>;
  readonly peers: Peers;
  readonly home: Home;
  readonly syslink: () => SyslinkEndpoint | undefined;
}

type Asked = Pick<SpawnChild, 'node' | 'placement' | 'dataspace' | 'apart'>;

export class Placing {
  readonly #options: PlacingOptions;

  constructor(options: PlacingOptions) {
    this.#options = options;
  }

  /** Of this node. */
  async load(): Promise<Load> {
    const { running, stats } = this.#options;
    // A pmap manager that is away has no room to offer.
    const { framesTotal, framesPrivate, pagesShared } = await stats().catch(() => NO_FRAMES);
    const free = framesTotal - framesPrivate - pagesShared;
    return {
      processes: running(),
      cores: availableParallelism(),
      freeBytes: (free > 0n ? free : 0n) * BigInt(PAGE_BYTES),
    };
  }

  /**
   * Undefined: here.
   * @param by who may read the dataspace that it is to be near
   * @throws WasiError EHOSTUNREACH: there is no such node; ENOENT, EACCES of the dataspace; RpcError
   */
  async choose(
    parent: Process,
    { node: named, placement, dataspace, apart }: Asked,
    by: { user: string; groups: string[] },
  ): Promise<Peer | undefined> {
    const { peers, node: own } = this.#options;
    if (named !== '') {
      if (named === own) return undefined;
      return await peers.byName(named).catch(() => {
        throw new WasiError(Errno.hostunreach);
      });
    }
    if (placement === Placement.UNSPECIFIED && !apart) return undefined;
    const pages = placement === Placement.NEAR ? await this.#pagesOf(dataspace, by) : {};
    const shunned = apart ? this.#shunned(parent) : new Set<number>();
    const candidates = await this.#candidates(pages, shunned);
    const place = choosePlace(candidates, 0);
    if (place === undefined) throw new WasiError(Errno.hostunreach);
    return place.peer;
  }

  /** A node that does not answer takes no child. This one is the first: where all are equal, a child stays. */
  async #candidates(pages: Record<string, bigint>, shunned: ReadonlySet<number>) {
    const { node, peers, home } = this.#options;
    const of = (name: string, index: number, peer: Peer | undefined, load: Load) => ({
      ...{
        node: name,
        peer,
        processes: load.processes,
        cores: load.cores,
        freeBytes: Number(load.freeBytes),
      },
      ...{ pages: Number(pages[name] ?? 0n), isShunned: shunned.has(index) },
    });
    const candidates: (Candidate & { peer: Peer | undefined })[] = [
      of(node, home.node, undefined, await this.load()),
    ];
    const asked = (await peers.all()).map(async (peer) =>
      of(peer.node, peer.index, peer, await peer.client.load({}, { deadlineMs: ASK_MS })),
    );
    for (const answer of await Promise.allSettled(asked))
      if (answer.status === 'fulfilled') candidates.push(answer.value);
    return candidates;
  }

  /** Its own node, and those of its children. */
  #shunned({ pid }: Process): Set<number> {
    const { home } = this.#options;
    return new Set([home.node, ...home.nodesOfChildren(pid)]);
  }

  async #pagesOf(
    name: string,
    requester: { user: string; groups: string[] },
  ): Promise<Record<string, bigint>> {
    const syslink = this.#options.syslink();
    if (syslink === undefined) throw new RpcError(Code.Unavailable, 'not attached to a router yet');
    const asked = { name, requester: { ...requester, all: false } };
    try {
      const { usage } = await askAnyReplica(syslink, (directory) =>
        directory.getDataspace(asked, { deadlineMs: ASK_MS }),
      );
      return usage?.ownedPages ?? {};
    } catch (error) {
      if (RpcError.is(error, Code.NotFound)) throw new WasiError(Errno.noent);
      if (RpcError.is(error, Code.PermissionDenied)) throw new WasiError(Errno.acces);
      throw error;
    }
  }
}

const NO_FRAMES = { framesTotal: 0n, framesPrivate: 0n, pagesShared: 0n };
