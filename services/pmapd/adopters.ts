// Other nodes that fetch what this one leaves behind.
import { piecesOf } from '@odonata/backing-store/chunk.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import { TransferService } from '@odonata/proto/pmap/v1/pmap';
import { type Client, createClient } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { CoherentMemory } from './coherent-memory.ts';

/** Requests under way. */
const PARALLEL = 4;
/** Pages of a request. */
export const ADOPT_PAGES_MAX = 1_024;

interface Portion {
  dataspace: string;
  runs: PageRun[];
}

export class Adopters {
  private readonly clients: Client<typeof TransferService>[];
  private next = 0;

  /** @param addresses where the nodes take pages */
  constructor(addresses: readonly string[], log: Logger) {
    this.clients = addresses.map((address) => createClient(TransferService, address, { log }));
  }

  /** Resolves when each page has a copy on some other node, was lost before, or is gone. @throws Error */
  async adopt(memory: CoherentMemory, runs: readonly PageRun[], endMs: number): Promise<void> {
    const portions = portionsOf(memory, runs);
    const work = async (): Promise<void> => {
      for (let portion = portions.pop(); portion !== undefined; portion = portions.pop())
        await this.place(portion, endMs);
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL, portions.length) }, work));
  }

  private async place(portion: Portion, endMs: number): Promise<void> {
    let last: unknown = new Error('there is no other node to take pages');
    // Each of them once; those that cannot are not asked again.
    while (this.clients.length > 0) {
      const client = this.clients[this.next++ % this.clients.length]!;
      const deadlineMs = endMs - monotonicMs();
      if (deadlineMs <= 0) throw new Error('other nodes did not take the pages in time', { cause: last });
      try {
        await client.adopt(portion, { deadlineMs });
        return;
      } catch (error) {
        if (RpcError.is(error) && error.code === Code.NotFound) return;
        last = error;
        const at = this.clients.indexOf(client);
        if (at >= 0) this.clients.splice(at, 1);
        client.close();
      }
    }
    throw last;
  }

  close(): void {
    for (const client of this.clients) client.close();
  }
}

function portionsOf(memory: CoherentMemory, runs: readonly PageRun[]): Portion[] {
  const portions: Portion[] = [];
  let pages = ADOPT_PAGES_MAX;
  for (const run of runs) {
    const dataspace = memory.get(run.dataspace)?.name;
    if (dataspace === undefined) continue;
    for (const piece of piecesOf(run.firstPage, run.pageCount)) {
      const last = portions.at(-1);
      const part = { dataspace: run.dataspace, ...piece };
      if (last?.dataspace === dataspace && pages + part.pageCount <= ADOPT_PAGES_MAX) last.runs.push(part);
      else {
        portions.push({ dataspace, runs: [part] });
        pages = 0;
      }
      pages += part.pageCount;
    }
  }
  return portions;
}
