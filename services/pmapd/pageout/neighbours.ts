// Other nodes, as one that is short of frames needs them: who has room, and who takes pages. They are named by the address where they
// take them.
import type { Neighbour } from '@odonata/coherency/node/pool/neighbours.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import type { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { TransferService } from '@odonata/proto/pmap/v1/pmap';
import { type Client, createClient } from '@odonata/rpc/client.ts';
import type { Logger } from '@odonata/rpc/log.ts';

const LIST_MS = 2_000;
const LISTED_MAX = 1_000;

export interface NeighboursOptions {
  readonly node: string;
  readonly log: Logger;
  directory(): Client<typeof DirectoryService>;
}

export class NeighbourNodes {
  private readonly o: NeighboursOptions;
  private readonly clients = new Map<string, Client<typeof TransferService>>();

  constructor(options: NeighboursOptions) {
    this.o = options;
  }

  /** Holders of the directory, also those whose streams broke just now. @throws RpcError */
  async living(): Promise<{ node: string; incarnation: bigint; transferAddress: string }[]> {
    const { holders } = await this.o
      .directory()
      .listHolders({ pageSize: LISTED_MAX }, { deadlineMs: LIST_MS });
    return holders;
  }

  /** Those that are there. @throws RpcError */
  async list(): Promise<(Neighbour & { node: string; incarnation: bigint })[]> {
    const { directory, node } = this.o;
    const { holders } = await directory().listHolders({ pageSize: LISTED_MAX }, { deadlineMs: LIST_MS });
    const others = holders.filter((holder) => holder.node !== node && holder.connected);
    for (const [address, client] of this.clients) {
      if (others.some(({ transferAddress }) => transferAddress === address)) continue;
      client.close();
      this.clients.delete(address);
    }
    return others.map(({ node: name, incarnation, transferAddress, roomPages }) => {
      return { name: transferAddress, roomPages: Number(roomPages), node: name, incarnation };
    });
  }

  /** @returns how many pages more that node takes @throws RpcError where it takes them not */
  async offer(
    address: string,
    pages: { dataspace: string; runs: PageRun[] },
    deadlineMs: number,
  ): Promise<number> {
    const { roomPages } = await this.client(address).adopt(
      { ...pages, whole: true, forRoom: true },
      { deadlineMs },
    );
    return Number(roomPages);
  }

  /** @throws RpcError where that node takes them not back */
  async giveBack(
    address: string,
    pages: { dataspace: string; runs: PageRun[] },
    deadlineMs: number,
  ): Promise<void> {
    await this.client(address).adopt({ ...pages, whole: true, back: true }, { deadlineMs });
  }

  private client(address: string): Client<typeof TransferService> {
    const client = this.clients.get(address) ?? createClient(TransferService, address, { log: this.o.log });
    this.clients.set(address, client);
    return client;
  }

  close(): void {
    for (const client of this.clients.values()) client.close();
    this.clients.clear();
  }
}
