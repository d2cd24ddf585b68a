// Vmspaces made by hand, half a million of them in one pmapd: what each takes, how fast they come and go, what they cost the faults
// of programs, lists, and a hand-over of their node.
//
// Each has three map entries: two of private memory, and a page of a dataspace. Of those pages some are chosen by chance, and a
// vmspace that maps one writes its word there (VmspacePwrite). Then a program in a virtual kernel touches these pages, in an order by
// chance, each for the first time: a real fault, through userfaultfd, the thread of that virtual kernel and pmapd. It checks the
// words, and answers beside them; other vmspaces that map the same pages must read the answers (VmspacePread). With no
// vmspaces but one, which maps all of it, the same is measured before.
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Failure } from '../../services/vkctl/failure.ts';
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { runGuest } from './guest-run.ts';
import { columns, type Part, type Setting } from './part.ts';
import { recordOf, replace } from './replaced.ts';
import { median, percentile } from './samples.ts';
import { freshName } from './shared-memory.ts';

const NODE = 'node1';
/** The default. */
const LEASE_MS = 3_000;
/** Pages of the dataspace that vmspaces map: further apart than a fault maps. */
const SLOTS = 13_107;
const STRIDE = 20;
const SEED = 7n;
const ADDRESS = 0x10000n;
const IDLE_MS = 86_400_000;
/** Of one call. */
const BATCH = 4_096;
const UNDER_WAY = 64;
const LIST_ITEMS = 1_000;
/** Of the node's answer about its event loop. */
const WINDOWS_MS = 11_000;
const PAGE = BigInt(PAGE_BYTES);
const MASK = (1n << 64n) - 1n;

interface Size {
  vmspaces: number;
  chosen: number;
  rounds: number;
  oneByOne: number;
  restMs: number;
}
const FULL: Size = { vmspaces: 500_000, chosen: 10_000, rounds: 5, oneByOne: 5_000, restMs: 45_000 };
const QUICK: Size = { vmspaces: 20_000, chosen: 500, rounds: 1, oneByOne: 200, restMs: 2_000 };

const MOST = FULL.vmspaces + FULL.oneByOne;

interface Memory {
  residentBytes: number;
  heapBytes: number;
}

export const vmspaces: Part = {
  title: 'Vmspaces made by hand: half a million in one pmapd',
  nodes: () => 1,
  nodeVmspaces: MOST,
  async run(setting) {
    const size = setting.quick ? QUICK : FULL;
    const { to, progress } = setting;
    const many = new Many(setting, size);
    const { vmspaces: count } = size;
    await many.makeDataspace();
    // As at the end: it took the place of another one.
    progress('hands over with none of them');
    const emptyHandedMs = await replace(setting, `${NODE}/pmapd`);
    // Code that runs for the first times is not compiled.
    progress('warms up');
    await many.endAll(await many.make(Math.min(count, 20_000)), Math.min(count, 20_000));
    await many.faults('empty', size.rounds === 1 ? 0 : 1);
    const empty = await many.faults('empty', size.rounds);
    progress('an idle pmapd');
    const idle = await rest(setting, size);
    const idleDelayMs = await loopDelay(setting);
    const idleHas = hasOf(setting);

    progress(`makes ${count}`);
    const makeBegin = performance.now();
    const first = await many.make(count);
    const madeASecond = (count / (performance.now() - makeBegin)) * 1e3;
    progress('with all of them');
    const full = await rest(setting, size);
    const fullHas = hasOf(setting);
    const eachOf = (what: keyof Memory) => (full[what] - idle[what]) / count;

    const oneByOne = await many.oneByOne(size.oneByOne);
    const loaded = await many.faults('full', size.rounds, first);
    progress('lists all');
    await loopDelay(setting);
    const lists = await many.listAll();
    progress('hands over');
    const handedMs = await replace(setting, `${NODE}/pmapd`);
    await many.expectBytes(first, Math.min(1_000, size.chosen));
    const stats = await to.pmapd(NODE).getNodeStats({});
    if (stats.handmadeVmspaces !== BigInt(count))
      throw new Failure(`${stats.handmadeVmspaces} vmspaces are there after a hand-over, of ${count}`);
    const before = await rest(setting, size);
    progress('ends all');
    const endBegin = performance.now();
    await many.endAll(first, count);
    const endedASecond = (count / (performance.now() - endBegin)) * 1e3;
    // What a burst left is collected after half a minute of rest, and given back after the next.
    const after = await rest(setting, { ...size, restMs: 2 * size.restMs });

    const figures = [
      judge('RSS of a vmspace with 3 map entries, more', eachOf('residentBytes'), 'B', { most: 300 }),
      judge('heap of a vmspace with 3 map entries, more', eachOf('heapBytes'), 'B', { most: 300 }),
      judge('threads and descriptors of pmapd, more', fullHas - idleHas, '', { most: 0 }),
      judge('p99 of a fault beside an empty pmapd', loaded.p99Us / empty.p99Us, 'x', { most: 2 }),
      judge('event loop delay while all are listed', lists.loopDelayMs, 'ms', { most: 100 }),
      judge('hand-over with all of them', handedMs, 'ms', { most: LEASE_MS }),
      judge(
        'RSS that ended vmspaces leave, each, more',
        (after.residentBytes - idle.residentBytes) / count,
        'B',
        {
          most: 30,
        },
      ),
    ];
    const of = (name: string): Figure | undefined => figures.find((figure) => figure.name.startsWith(name));
    const mib = (bytes: number) => `${round(bytes / 2 ** 20)} MiB`;
    const row = (what: string, value: string, figure?: Figure) => [what, value, ...verdictCells(figure)];
    const rows = [
      row('vmspaces, 3 map entries each', count.toLocaleString('en')),
      row('RSS of pmapd, idle', mib(idle.residentBytes)),
      row('   with all of them', mib(full.residentBytes)),
      row('   each', `${round(eachOf('residentBytes'))} B`, of('RSS of a vmspace with 3 map entries, more')),
      row('heap and what it has outside, idle', mib(idle.heapBytes)),
      row('   with all of them', mib(full.heapBytes)),
      row('   each', `${round(eachOf('heapBytes'))} B`, of('heap of a vmspace with 3 map entries, more')),
      row('threads and descriptors, more', String(fullHas - idleHas), of('threads')),
      row('creations a second, 4,096 a call', round(madeASecond)),
      row('destructions a second, 4,096 a call', round(endedASecond)),
      row('creations a second, one by one', round(oneByOne.made)),
      row('destructions a second, one by one', round(oneByOne.ended)),
      row(
        `faults, ${size.chosen} by chance, empty: p50 / p99`,
        `${round(empty.p50Us)} / ${round(empty.p99Us)} us`,
      ),
      row('   with all of them: p50 / p99', `${round(loaded.p50Us)} / ${round(loaded.p99Us)} us`, of('p99')),
      row('a list of all of them', `${round(lists.tookMs)} ms`),
      row('   event loop delay meanwhile', `${round(lists.loopDelayMs)} ms`, of('event loop')),
      row('   before, while nothing happened', `${round(idleDelayMs)} ms`),
      row('   longest answer to GetNodeStats meanwhile', `${round(lists.statsMs)} ms`),
      row('hand-over to another pmapd, with none of them', `${emptyHandedMs} ms`),
      row('   with all of them', `${handedMs} ms`, of('hand-over')),
      row('RSS of that, with all of them', mib(before.residentBytes)),
      row('   when they have ended', mib(after.residentBytes), of('RSS that')),
    ];
    return {
      figures,
      tables: [
        {
          title: vmspaces.title,
          columns: columns('WHAT', '>FIGURE', 'TARGET', 'VERDICT'),
          rows,
          notes: [
            'A fault is a first touch by a program in a virtual kernel, of a page that vmspaces map and one of them wrote; all',
            'bytes were right, also those that vmspaces read after the program wrote. An idle one has no timer: one look a second is for all.',
          ],
        },
      ],
      measured: {
        ...{ vmspaces: count, chosen: size.chosen, idle, full, madeASecond, endedASecond, oneByOne },
        ...{ empty, loaded, lists, idleDelayMs, emptyHandedMs, handedMs, before, after },
      },
    };
  },
};

/** Threads and descriptors of pmapd. */
function hasOf(setting: Setting): number {
  const { process: running } = recordOf(setting).services.find(({ name }) => name === `${NODE}/pmapd`)!;
  const folder = `/proc/${running!.pid}`;
  return readdirSync(`${folder}/task`).length + readdirSync(`${folder}/fd`).length;
}

const memoryOf = async ({ to }: Setting): Promise<Memory> => {
  const { residentBytes, heapBytes } = await to.pmapd(NODE).getNodeStats({ process: true });
  return { residentBytes: Number(residentBytes), heapBytes: Number(heapBytes) };
};

/** The least that pmapd has while nothing happens: garbage is not what they take. */
async function rest(setting: Setting, { restMs }: Size): Promise<Memory> {
  const endMs = performance.now() + restMs;
  let least = await memoryOf(setting);
  while (performance.now() < endMs) {
    await sleep(250, undefined, { signal: setting.signal });
    const { residentBytes, heapBytes } = await memoryOf(setting);
    least = {
      residentBytes: Math.min(least.residentBytes, residentBytes),
      heapBytes: Math.min(least.heapBytes, heapBytes),
    };
  }
  return least;
}

/** Until what the node says of its event loop is of this time on. @returns what that is then, of a time in which nothing happened */
async function loopDelay({ to, signal, quick }: Setting): Promise<number> {
  const endMs = performance.now() + (quick ? 1_000 : 2 * WINDOWS_MS);
  for (;;) {
    const { loopDelayMs } = await to.pmapd(NODE).getNodeStats({ process: true });
    if (performance.now() > endMs) return loopDelayMs;
    await sleep(500, undefined, { signal });
  }
}

class Many {
  private readonly setting: Setting;
  private readonly size: Size;
  private readonly dataspace = freshName('slots');
  /** Slots by chance, as the guest has them. */
  private readonly chosen: number[];

  constructor(setting: Setting, size: Size) {
    this.setting = setting;
    this.size = size;
    this.chosen = chosenSlots(size.chosen);
  }

  private get calls() {
    return this.setting.to.vmspaces(NODE);
  }

  async makeDataspace(): Promise<void> {
    const sizeBytes = BigInt(SLOTS * STRIDE * PAGE_BYTES);
    await this.setting.to.dataspaces(NODE).create({ name: this.dataspace, sizeBytes });
  }

  /** The i-th of them maps the slot i of SLOTS, around and around. @returns the first id */
  async make(count: number): Promise<bigint> {
    let first: bigint | undefined;
    const lengthBytes = PAGE;
    for (let made = 0; made < count; ) {
      const slot = made % SLOTS;
      const some = Math.min(BATCH, count - made, SLOTS - slot);
      const stepBytes = BigInt(STRIDE) * PAGE;
      const offsetBytes = BigInt(slot) * stepBytes;
      const { firstVmspace } = await this.calls.vmspaceCreateMany({
        ...{ count: some, idleMs: IDLE_MS },
        entries: [
          {
            address: ADDRESS,
            lengthBytes,
            writable: true,
            dataspace: this.dataspace,
            offsetBytes,
            stepBytes,
          },
          { address: ADDRESS * 2n, lengthBytes, writable: true },
          { address: ADDRESS * 4n, lengthBytes: 16n * PAGE, writable: true },
        ],
      });
      first ??= firstVmspace;
      if (firstVmspace !== first + BigInt(made))
        throw new Failure('ids of vmspaces do not lie beside each other');
      made += some;
    }
    return first!;
  }

  async endAll(first: bigint, count: number): Promise<void> {
    for (let ended = 0; ended < count; ended += BATCH) {
      const some = Math.min(BATCH, count - ended);
      const { count: were } = await this.calls.vmspaceDestroyMany({
        ...{ firstVmspace: first + BigInt(ended), count: some },
      });
      if (were !== some) throw new Failure(`${were} vmspaces were there of ${some}`);
    }
  }

  /** A second: by a call each. */
  async oneByOne(count: number): Promise<{ made: number; ended: number }> {
    this.setting.progress('one by one');
    const ids: bigint[] = [];
    const begin = performance.now();
    await each(count, async (i) => {
      ids[i] = (await this.calls.vmspaceCreate({})).vmspace;
    });
    const middle = performance.now();
    await each(count, (i) => this.calls.vmspaceDestroy({ vmspace: ids[i]! }));
    const end = performance.now();
    return { made: (count / (middle - begin)) * 1e3, ended: (count / (end - middle)) * 1e3 };
  }

  /** @param first of those that there are; else one alone maps all of it, which is gone when the time is taken */
  async faults(what: string, rounds: number, first?: bigint): Promise<{ p50Us: number; p99Us: number }> {
    const p50Us: number[] = [];
    const p99Us: number[] = [];
    for (let i = 0; i < Math.max(1, rounds); i++) {
      this.setting.progress(`faults, ${what}: ${i + 1} of ${Math.max(1, rounds)}`);
      const alone = first === undefined ? await this.mapWhole() : undefined;
      const mapsOf = (slot: number): { vmspace: bigint; address: bigint } =>
        alone === undefined
          ? { vmspace: this.ofSlot(first!, slot), address: ADDRESS }
          : { vmspace: alone, address: ADDRESS + BigInt(slot * STRIDE) * PAGE };
      await each(this.chosen.length, async (at) => {
        const slot = this.chosen[at]!;
        await this.calls.vmspacePwrite({ ...mapsOf(slot), data: wordsOf(wordOf(slot), 0n) });
      });
      if (alone !== undefined) await this.calls.vmspaceDestroy({ vmspace: alone });
      const args = [this.dataspace, SLOTS, STRIDE, this.chosen.length, Number(SEED)];
      const { read } = await runGuest<{ read: { p50: number; p99: number } }>(
        this.setting,
        NODE,
        'chosen',
        args,
      );
      p50Us.push(read.p50 / 1e3);
      p99Us.push(read.p99 / 1e3);
      if (first !== undefined) await this.expectBytes(first, this.chosen.length);
    }
    return { p50Us: median(p50Us), p99Us: median(p99Us) };
  }

  private async mapWhole(): Promise<bigint> {
    const { vmspace } = await this.calls.vmspaceCreate({});
    const lengthBytes = BigInt(SLOTS * STRIDE) * PAGE;
    await this.calls.vmspaceMmap({
      vmspace,
      address: ADDRESS,
      lengthBytes,
      dataspace: this.dataspace,
      writable: true,
    });
    return vmspace;
  }

  /** One of those that map it, by chance. */
  private ofSlot(first: bigint, slot: number): bigint {
    const around = Math.ceil((this.size.vmspaces - slot) / SLOTS);
    return first + BigInt(slot + SLOTS * Math.floor(Math.random() * around));
  }

  /** What was written through one is read through another. */
  async expectBytes(first: bigint, count: number): Promise<void> {
    await each(count, async (at) => {
      const slot = this.chosen[at]!;
      if (slot >= this.size.vmspaces) return;
      const vmspace = this.ofSlot(first, slot);
      const { data } = await this.calls.vmspacePread({ vmspace, address: ADDRESS, length: 16 });
      const wanted = wordsOf(wordOf(slot), ~wordOf(slot) & MASK);
      if (!wanted.equals(data))
        throw new Failure(`vmspace ${vmspace} has other bytes than the program wrote`);
    });
  }

  async listAll(): Promise<{ tookMs: number; loopDelayMs: number; statsMs: number }> {
    const { to } = this.setting;
    let isListed = false;
    const statsMs: number[] = [];
    let loopDelayMs = 0;
    const ask = async () => {
      do {
        const begin = performance.now();
        const { loopDelayMs: delayMs } = await to.pmapd(NODE).getNodeStats({ process: true });
        statsMs.push(performance.now() - begin);
        loopDelayMs = Math.max(loopDelayMs, delayMs);
        await sleep(20);
      } while (!isListed);
    };
    const list = async () => {
      const begin = performance.now();
      let listed = 0;
      for (let pageToken = ''; ; ) {
        const page = await this.calls.listVmspaces({ pageSize: LIST_ITEMS, pageToken });
        listed += page.vmspaces.length;
        pageToken = page.nextPageToken;
        if (pageToken === '') break;
      }
      isListed = true;
      if (listed < this.size.vmspaces)
        throw new Failure(`${listed} vmspaces are listed, of ${this.size.vmspaces}`);
      return performance.now() - begin;
    };
    const [tookMs] = await Promise.all([list(), ask()]);
    return { tookMs, loopDelayMs, statsMs: percentile(statsMs, 1) };
  }
}

/** So many at a time. */
async function each(count: number, call: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: Math.min(UNDER_WAY, count) }, lane));
}

/** As kernels/chosen.c: xorshift64*. */
function chosenSlots(count: number): number[] {
  const slots = Array.from({ length: SLOTS }, (_, i) => i);
  let state = SEED;
  for (let i = 0; i < count; i++) {
    state ^= state >> 12n;
    state = (state ^ (state << 25n)) & MASK;
    state ^= state >> 27n;
    const random = (state * 0x2545f4914f6cdd1dn) & MASK;
    const other = i + Number(random % BigInt(SLOTS - i));
    [slots[i], slots[other]] = [slots[other]!, slots[i]!];
  }
  return slots.slice(0, count);
}

const wordOf = (slot: number): bigint => ((BigInt(slot) + 1n) * 0x9e3779b97f4a7c15n + SEED) & MASK;

function wordsOf(...words: bigint[]): Buffer {
  const bytes = Buffer.alloc(8 * words.length);
  for (const [i, word] of words.entries()) bytes.writeBigUInt64LE(word, 8 * i);
  return bytes;
}
