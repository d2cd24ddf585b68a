// A write to a page of which others have copies: from the acquire to the grant, by the number of those others.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { round } from '../figure.ts';
import { columns, type ResultTable, type Setting } from '../part.ts';
import { type Latency, latencyOf } from '../samples.ts';
import { cpuUsOf, replicaCpuUs, sum } from './cpu.ts';
import { Holders, type Place, within } from './holders.ts';
import type { SharedPages } from './simulated-holder.ts';

const SHARERS = [2, 4, 8, 16, 32, 64];
const QUICK_SHARERS = [2, 16];
const UPGRADES = 400;
const QUICK_UPGRADES = 40;
const WARM_UPS = 200;
const QUICK_WARM_UPS = 20;
/** Pages of one acquire while copies are dealt out. */
const RUN_PAGES = 64;

export interface Row {
  sharers: number;
  latency: Latency;
  cohdUs: number;
  natsUs: number;
  holdersUs: number;
}

export interface Upgrade {
  table: ResultTable;
  measured: Record<string, unknown>;
}

export async function upgrade(setting: Setting, place: Place): Promise<Upgrade> {
  const { quick, progress } = setting;
  const rows: Row[] = [];
  // Once more from the first, for what is not compiled yet then.
  const all = quick ? QUICK_SHARERS : SHARERS;
  for (const [i, sharers] of [all[0]!, ...all].entries()) {
    progress(`write upgrade with ${sharers} sharers`);
    const row = await measure(setting, place, sharers);
    if (i > 0) rows.push(row);
  }
  return result(rows);
}

/** Upgrades with so many sharers, after some that do not count. */
export async function measure(
  { signal, quick }: Pick<Setting, 'signal' | 'quick'>,
  place: Place,
  sharers: number,
): Promise<Row> {
  const warmUps = quick ? QUICK_WARM_UPS : WARM_UPS;
  const count = quick ? QUICK_UPGRADES : UPGRADES;
  const holders = await within({ signal, what: 'joining the directory' }, Holders.join(place, sharers + 1));
  try {
    const pages = warmUps + count;
    const dataspace = await holders.share(BigInt(pages * PAGE_BYTES));
    const what = `upgrades with ${sharers} sharers`;
    await within({ signal, what }, dealOut(holders, dataspace, pages));
    await within({ signal, what }, upgrades(holders, dataspace, 0, warmUps));
    let samplesNs: number[] = [];
    const holdersBefore = process.cpuUsage();
    const cpuUs = await cpuUsOf(place.pids, async () => {
      samplesNs = await within({ signal, what }, upgrades(holders, dataspace, warmUps, count));
    });
    const { user, system } = process.cpuUsage(holdersBefore);
    return {
      sharers,
      latency: latencyOf(samplesNs),
      cohdUs: sum(replicaCpuUs(cpuUs)) / count,
      natsUs: (cpuUs.get('nats') ?? 0) / count,
      holdersUs: (user + system) / count,
    };
  } finally {
    await holders.close();
  }
}

/** Every holder gets a copy of every page. */
async function dealOut({ all }: Holders, { id: dataspace }: SharedPages, pages: number): Promise<void> {
  for (let firstPage = 0; firstPage < pages; firstPage += RUN_PAGES) {
    const pageCount = Math.min(RUN_PAGES, pages - firstPage);
    await Promise.all(all.map((holder) => holder.acquire({ dataspace, firstPage, pageCount }, 'READ')));
  }
}

/** The first holder writes page after page. @returns ns from acquire to grant */
async function upgrades(
  { all }: Holders,
  { id: dataspace }: SharedPages,
  firstPage: number,
  count: number,
): Promise<number[]> {
  const samplesNs: number[] = [];
  for (let i = 0; i < count; i++) {
    const startNs = process.hrtime.bigint();
    await all[0]!.acquire({ dataspace, firstPage: firstPage + i, pageCount: 1 }, 'WRITE');
    samplesNs.push(Number(process.hrtime.bigint() - startNs));
  }
  return samplesNs;
}

function result(rows: Row[]): Upgrade {
  const fastestUs = Math.min(...rows.map(({ latency }) => latency.p50Us));
  const slowest = rows.reduce((a, b) => (b.latency.p50Us > a.latency.p50Us ? b : a));
  const shareOfHolders = slowest.holdersUs / (slowest.cohdUs + slowest.natsUs + slowest.holdersUs);
  return {
    table: {
      title: `Directory: write upgrade by sharers, ${rows[0]!.latency.samples} each, one after another`,
      columns: columns(
        '>SHARERS',
        '>p50 us',
        '>p99 us',
        '>OF FASTEST',
        '>COHD',
        '>NATS',
        '>HOLDERS',
        '>COHD A SHARER',
      ),
      rows: rows.map(({ sharers, latency, cohdUs, natsUs, holdersUs }) => [
        ...[String(sharers), round(latency.p50Us), round(latency.p99Us), round(latency.p50Us / fastestUs)],
        ...[round(cohdUs), round(natsUs), round(holdersUs), round(cohdUs / sharers)],
      ]),
      notes: [
        'From the acquire to the grant. OF FASTEST: its p50 beside the smallest p50. COHD, NATS, HOLDERS: processor time of an',
        'upgrade in us. All sharers are in one process here: it takes as many broadcasts and sends as many acks, one after',
        `another. With ${slowest.sharers} sharers it used ${(shareOfHolders * 100).toFixed(0)} % of the processor time, where nodes would work side by side; what they would`,
        'not shorten is cohd, which reads as many acks.',
      ],
    },
    measured: { rows },
  };
}
