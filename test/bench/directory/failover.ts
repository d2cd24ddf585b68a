// Failover: one of three replicas is killed while acquires go on in every shard; how long until each shard answers.
import { setTimeout as sleep } from 'node:timers/promises';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { BLOCK_PAGES, shardOf } from '@odonata/coherency/shard.ts';
import { clusterPaths } from '../../../services/vkctl/cluster/paths.ts';
import { readRecord } from '../../../services/vkctl/cluster/record.ts';
import { type Figure, judge, round, verdictCells } from '../figure.ts';
import { columns, type ResultTable, type Setting } from '../part.ts';
import { median } from '../samples.ts';
import { ExtraReplica } from './extra-replica.ts';
import { Holders, type Place, within } from './holders.ts';
import type { SharedPages } from './simulated-holder.ts';

export const LEASE_MS = 1500;
const LEASES_MOST = 2;
const KILLS = 3;
/** Blocks of the dataspace: so many that each shard has one. */
const BLOCKS = 2048;
/** Between two acquires of one shard. */
const PAUSE_MS = 10;
const BEFORE_MS = 500;

interface Kill {
  /** Shards that the killed replica led. */
  shardsLost: number;
  /** From the kill until all of those answered, in ms. */
  lostMs: number;
  /** The shard in the middle of them. */
  lostMedianMs: number;
  /** Until all shards of the others answered. */
  keptMs: number;
}

export interface Failover {
  figures: Figure[];
  table: ResultTable;
  measured: Record<string, unknown>;
}

export async function failover(setting: Setting, place: Place): Promise<Failover> {
  const { signal, quick, progress } = setting;
  const holders = await within({ signal, what: 'joining the directory' }, Holders.join(place, 2));
  try {
    const dataspace = await holders.share(BigInt(BLOCKS * BLOCK_PAGES * PAGE_BYTES));
    const kills: Kill[] = [];
    const count = quick ? 1 : KILLS;
    for (let i = 0; i < count; i++) {
      progress(`failover: replica ${i + 1} of ${count}`);
      kills.push(await killOne(setting, place, holders, dataspace, i));
    }
    return result(kills);
  } finally {
    await holders.close();
  }
}

async function killOne(
  { signal }: Setting,
  place: Place,
  holders: Holders,
  dataspace: SharedPages,
  index: number,
): Promise<Kill> {
  const { syslink } = readRecord(clusterPaths(place.cluster).clusterFile)!;
  const name = `extra${index}`;
  const replica = await ExtraReplica.start(place, { name, leaseMs: LEASE_MS, syslink, signal });
  const probes = new Probes(holders, dataspace, index);
  try {
    const address = await within({ signal, what: 'a new replica' }, replica.settled(place));
    await within({ signal, what: 'acquires before the kill' }, probes.allAnswered());
    await sleep(BEFORE_MS, undefined, { signal });
    await within({ signal, what: 'acquires before the kill' }, probes.allAnswered());
    const lost = probes.shardsAt(address);
    const killedMs = performance.now();
    replica.kill();
    const answeredMs = await within({ signal, what: 'the failover' }, probes.allAnswered());
    const after = (of: (shard: number) => boolean): number[] =>
      answeredMs.filter((_, shard) => of(shard)).map((ms) => ms - killedMs);
    const lostMs = after((shard) => lost.has(shard));
    const keptMs = after((shard) => !lost.has(shard));
    return {
      shardsLost: lost.size,
      lostMs: Math.max(...lostMs),
      lostMedianMs: median(lostMs),
      keptMs: Math.max(...keptMs),
    };
  } finally {
    await probes.end(signal);
    await replica.close();
  }
}

/** One page of each shard, which two holders take from each other to write, one acquire after another. */
class Probes {
  private readonly holders: Holders;
  private readonly dataspace: SharedPages;
  private readonly pages: number[];
  private readonly loops: Promise<void>[];
  /** Of the last acquire of each shard that was answered. */
  private readonly begunMs: number[];
  private readonly answeredMs: number[];
  private ended = false;
  private failed: unknown;

  /** @param offset of the pages in their blocks */
  constructor(holders: Holders, dataspace: SharedPages, offset: number) {
    this.holders = holders;
    this.dataspace = dataspace;
    this.pages = [];
    const { shards } = holders;
    for (let page = offset; page < BLOCKS * BLOCK_PAGES; page += BLOCK_PAGES)
      this.pages[shardOf(dataspace.id, page, shards)] ??= page;
    this.begunMs = this.pages.map(() => 0);
    this.answeredMs = this.pages.map(() => 0);
    this.loops = this.pages.map((page, shard) => this.probe(shard, page));
    for (const loop of this.loops) loop.catch((error) => (this.failed ??= error));
  }

  private async probe(shard: number, firstPage: number): Promise<void> {
    const run = { dataspace: this.dataspace.id, firstPage, pageCount: 1 };
    for (let i = 1; !this.ended; i++) {
      const begunMs = performance.now();
      await this.holders.all[i % 2]!.acquire(run, 'WRITE');
      this.answeredMs[shard] = performance.now();
      this.begunMs[shard] = begunMs;
      await sleep(PAUSE_MS);
    }
  }

  /** Waits until each shard has answered an acquire that began after this call. @returns when, by shard */
  async allAnswered(): Promise<number[]> {
    const fromMs = performance.now();
    const first = this.pages.map(() => 0);
    for (;;) {
      if (this.failed !== undefined) throw this.failed;
      this.begunMs.forEach((begunMs, shard) => {
        if (first[shard] === 0 && begunMs >= fromMs) first[shard] = this.answeredMs[shard]!;
      });
      if (first.every((ms) => ms > 0)) return first;
      await sleep(1);
    }
  }

  /** Shards that the replica at an address leads. */
  shardsAt(address: string): Set<number> {
    const { directories } = this.holders.all[0]!;
    const leads = (page: number): boolean => directories.lines.leaderOf(this.dataspace.id, page) === address;
    return new Set(this.pages.flatMap((page, shard) => (leads(page) ? [shard] : [])));
  }

  async end(signal: AbortSignal): Promise<void> {
    this.ended = true;
    if (!signal.aborted && this.failed === undefined)
      await within({ signal, what: 'the last acquires' }, Promise.allSettled(this.loops));
  }
}

function result(kills: Kill[]): Failover {
  const leases = median(kills.map(({ lostMs }) => lostMs)) / LEASE_MS;
  const figure = judge('directory: failover of a replica, in leases', leases, 'x', { most: LEASES_MOST });
  return {
    figures: [figure],
    table: {
      title: `Directory: kill -9 of one of three replicas, lease ${LEASE_MS} ms, acquires in every shard`,
      columns: columns(
        'KILL',
        '>SHARDS',
        '>ALL ms',
        '>MEDIAN ms',
        '>OTHERS ms',
        '>LEASES',
        'TARGET',
        'VERDICT',
      ),
      rows: [
        ...kills.map(({ shardsLost, lostMs, lostMedianMs, keptMs }, i) => [
          ...[String(i + 1), String(shardsLost), round(lostMs), round(lostMedianMs), round(keptMs)],
          ...[round(lostMs / LEASE_MS), '', ''],
        ]),
        ['median', '', '', '', '', round(leases), ...verdictCells(figure)],
      ],
      notes: [
        'ALL: from the kill until each shard of the killed replica has answered an acquire that began after the kill;',
        'MEDIAN: half of them. OTHERS: the same for all shards of the other replicas. Nobody starts the replica again.',
      ],
    },
    measured: { leaseMs: LEASE_MS, leases, kills },
  };
}
