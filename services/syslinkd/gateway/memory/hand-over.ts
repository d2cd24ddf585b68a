// What this gateway alone has of its own cluster's pages, and cannot keep: a node takes it over.

import { isGateway } from '@odonata/coherency/gateway.ts';
import { ADOPT_PAGES_MAX } from '@odonata/coherency/node/drain.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import type { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { TransferService } from '@odonata/proto/pmap/v1/pmap';
import { type Client, createClient } from '@odonata/rpc/client.ts';
import type { Logger } from '@odonata/rpc/log.ts';

const LIST_MS = 5_000;
const ADOPT_MS = 10_000;
/** So many nodes are asked, one after the other. */
const NODES_MAX = 3;

export interface HandOverOptions {
  readonly client: () => Client<typeof DirectoryService> | undefined;
  readonly log: Logger;
}

export class HandOver {
  private readonly o: HandOverOptions;
  private readonly nodes = new Map<string, Client<typeof TransferService>>();

  constructor(options: HandOverOptions) {
    this.o = options;
  }

  /** @returns false: no node took them, and this gateway has them still */
  async give(dataspace: string, run: PageRun): Promise<boolean> {
    const runs: PageRun[] = [];
    for (let at = 0; at < run.pageCount; at += ADOPT_PAGES_MAX)
      runs.push({
        ...{ ...run, firstPage: run.firstPage + at },
        pageCount: Math.min(ADOPT_PAGES_MAX, run.pageCount - at),
      });
    for (const part of runs) if (!(await this.givePart(dataspace, part))) return false;
    return true;
  }

  close(): void {
    for (const client of this.nodes.values()) client.close();
    this.nodes.clear();
  }

  private async givePart(dataspace: string, run: PageRun): Promise<boolean> {
    for (const address of await this.addresses())
      try {
        await this.node(address).adopt({ dataspace, runs: [run], whole: true }, { deadlineMs: ADOPT_MS });
        return true;
      } catch (error) {
        this.o.log.warn({ dataspace, address, err: error }, 'a node did not take pages over');
      }
    return false;
  }

  private async addresses(): Promise<string[]> {
    try {
      const answer = await this.o.client()?.listHolders({ pageSize: 1_000 }, { deadlineMs: LIST_MS });
      return (answer?.holders ?? [])
        .filter(
          ({ node, connected, transferAddress }) => connected && transferAddress !== '' && !isGateway(node),
        )
        .slice(0, NODES_MAX)
        .map(({ transferAddress }) => transferAddress);
    } catch (error) {
      this.o.log.warn({ err: error }, 'nodes could not be listed');
      return [];
    }
  }

  private node(address: string): Client<typeof TransferService> {
    let client = this.nodes.get(address);
    if (client === undefined) {
      client = createClient(TransferService, address, { log: this.o.log });
      this.nodes.set(address, client);
    }
    return client;
  }
}
