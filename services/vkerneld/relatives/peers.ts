// The other homes of the cluster: by the number of their node, which each pid says.
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { PeerService } from '@odonata/proto/vkernel/v1/peer';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { PIDS_PER_NODE } from '@odonata/rpc/pid.ts';
import type { Client } from '@odonata/rpc/service.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';

/** So long a list of nodes is believed. */
const FRESH_MS = 2_000;

export interface Peer {
  readonly node: string;
  readonly index: number;
  readonly client: Client<typeof PeerService>;
}

export const indexOfPid = (pid: bigint): number => Number(pid / BigInt(PIDS_PER_NODE));

export class Peers {
  readonly #own: number;
  readonly #syslink: () => SyslinkEndpoint | undefined;
  #known = new Map<number, Peer>();
  /** Also of those that went away. */
  readonly #names = new Map<number, string>();
  #readMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(own: number, syslink: () => SyslinkEndpoint | undefined) {
    this.#own = own;
    this.#syslink = syslink;
  }

  /** All others that are there. @throws RpcError UNAVAILABLE */
  async all(): Promise<Peer[]> {
    if (performance.now() - this.#readMs > FRESH_MS) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    return [...this.#known.values()];
  }

  /** @throws RpcError UNAVAILABLE where it is not there */
  async byIndex(index: number): Promise<Peer> {
    // One that was there lately is asked at once.
    const peer = this.#known.get(index) ?? (await this.all()).find((each) => each.index === index);
    if (peer !== undefined) return peer;
    throw new RpcError(Code.Unavailable, `node number ${index} is not there`);
  }

  /** @throws RpcError NOT_FOUND, UNAVAILABLE */
  async byName(node: string): Promise<Peer> {
    const peer = (await this.all()).find((each) => each.node === node);
    if (peer !== undefined) return peer;
    throw new RpcError(Code.NotFound, `node ${node} is not there`);
  }

  /** By what it was called when it was there. */
  nameOf(index: number): string | undefined {
    return this.#names.get(index);
  }

  async #read(): Promise<void> {
    const syslink = this.#syslink();
    if (syslink === undefined) throw new RpcError(Code.Unavailable, 'not attached to a router yet');
    const known = new Map<number, Peer>();
    for (const { kind, connected, node, nodeIndex, name } of await syslink.listEndpoints()) {
      if (kind !== EndpointKind.VKERNEL || nodeIndex === this.#own) continue;
      this.#names.set(nodeIndex, node);
      if (!connected) continue;
      known.set(nodeIndex, { node, index: nodeIndex, client: syslink.client(PeerService, { name }) });
    }
    this.#known = known;
    this.#readMs = performance.now();
  }
}
