// Many vmspaces made by hand, for the bench: made and ended, written and read, and a program that touches what they map.
import { setTimeout as sleep } from 'node:timers/promises';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Failure } from '../../services/vkctl/failure.ts';
import { runGuest } from './guest-run.ts';
import type { Setting } from './part.ts';
import { median, percentile } from './samples.ts';
import { freshName } from './shared-memory.ts';

export const NODE = 'node1';
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
const PAGE = BigInt(PAGE_BYTES);
const MASK = (1n << 64n) - 1n;

export interface Size {
  vmspaces: number;
  chosen: number;
  rounds: number;
  oneByOne: number;
  restMs: number;
}

export class Many {
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
