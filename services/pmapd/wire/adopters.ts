// Other nodes that fetch what this one leaves behind.
import type { PageRun } from '@odonata/coherency/page.ts';
import { TransferService } from '@odonata/proto/pmap/v1/pmap';
import { type Client, createClient } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';

export class Adopters {
  private readonly clients = new Map<string, Client<typeof TransferService>>();
  private readonly log: Logger;

  constructor(log: Logger) {
    this.log = log;
  }

  /**
   * Resolves when each page has a copy on a node, was lost before, or is gone.
   * @param address where the node takes pages
   * @throws RpcError
   */
  async adopt(
    address: string,
    pages: { dataspace: string; runs: PageRun[] },
    deadlineMs: number,
  ): Promise<void> {
    const client = this.clients.get(address) ?? createClient(TransferService, address, { log: this.log });
    this.clients.set(address, client);
    try {
      await client.adopt(pages, { deadlineMs });
    } catch (error) {
      if (!RpcError.is(error, Code.NotFound)) throw error;
    }
  }

  close(): void {
    for (const client of this.clients.values()) client.close();
    this.clients.clear();
  }
}
