// Who fights over which pages of a dataspace: what each node counts (pmapd's ListHotPages), joined by page.
import type { PageUser } from '@odonata/proto/pmap/v1/pmap';
import type { Connection } from './connection.ts';
import { ofEachNode, type Silent } from './process-list.ts';

const ANSWER_MS = 5_000;
/** What one node tells at most. */
const NODE_PAGES = 256;
const WORD_BYTES = 8;

/**
 * What the words say that faults were for:
 *
 * - `false`: several processes, one of them writes, and no word that one of them writes is another's;
 * - `true`: a word that one writes is another's, too;
 * - `reads`: several processes, and none was seen to write;
 * - `alone`: one process, whose page was elsewhere;
 * - `unknown`: nobody knows the words, or not whose they are.
 */
export type Sharing = 'false' | 'true' | 'reads' | 'alone' | 'unknown';

/** Of one process, its reads or its writes. */
export interface HotPageUser {
  readonly node: string;
  /** 0n: one that is somebody else's, and may not be seen. */
  readonly pid: bigint;
  readonly vkernel: string;
  readonly write: boolean;
  readonly faultsPerSecond: number;
  readonly waitedMsPerSecond: number;
  /** Words that faults were for, as offsets in the page, end exclusive. */
  readonly bytes: readonly (readonly [begin: number, end: number])[];
}

export interface HotPage {
  readonly page: number;
  readonly faultsPerSecond: number;
  /** Of all processes together. */
  readonly waitedMsPerSecond: number;
  readonly sharing: Sharing;
  /** What programs call ranges that lie on it. */
  readonly names: readonly string[];
  /** The most faults first. */
  readonly users: readonly HotPageUser[];
}

export interface HotPages {
  /** The most faults first. */
  readonly pages: readonly HotPage[];
  readonly silent: readonly Silent[];
}

interface Counted {
  readonly node: string;
  readonly seconds: number;
  readonly page: number;
  readonly faults: number;
  readonly waitedUs: number;
  readonly users: readonly PageUser[];
  readonly names: readonly string[];
}

export async function listHotPages(
  to: Connection,
  name: string,
  max: number,
  signal?: AbortSignal,
): Promise<HotPages> {
  const { items, silent } = await ofEachNode<Counted>(to, signal, async (node) => {
    const asked = { name, maxPages: NODE_PAGES };
    const { pages, spanMs } = await to
      .dataspaces(node)
      .listHotPages(asked, { deadlineMs: ANSWER_MS, signal });
    return pages.map(({ page, faults, waitedUs, users, names }) => ({
      ...{ node, users, names, page: Number(page), faults: Number(faults), waitedUs: Number(waitedUs) },
      // What has just begun is no rate yet.
      seconds: Math.max(1, Number(spanMs) / 1e3),
    }));
  });
  const pages = [...Map.groupBy(items, ({ page }) => page).values()]
    .map(joined)
    .sort((a, b) => b.faultsPerSecond - a.faultsPerSecond || a.page - b.page);
  return { pages: pages.slice(0, max), silent };
}

function joined(of: readonly Counted[]): HotPage {
  const users = of.flatMap(({ node, seconds, users }) => users.map((user) => userOf(node, seconds, user)));
  return {
    page: of[0]!.page,
    faultsPerSecond: sum(of, ({ faults, seconds }) => faults / seconds),
    waitedMsPerSecond: sum(of, ({ waitedUs, seconds }) => waitedUs / 1e3 / seconds),
    sharing: sharingOf(of.flatMap(({ node, users }) => users.map((user) => ({ node, user })))),
    names: [...new Set(of.flatMap(({ names }) => names))],
    users: users.sort((a, b) => b.faultsPerSecond - a.faultsPerSecond),
  };
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((total, item) => total + of(item), 0);

const userOf = (node: string, seconds: number, { pid, vkernel, write, ...user }: PageUser): HotPageUser => ({
  ...{ node, pid, vkernel, write },
  faultsPerSecond: Number(user.faults) / seconds,
  waitedMsPerSecond: Number(user.waitedUs) / 1e3 / seconds,
  bytes: spansOf(user.words),
});

/** @param words a bit for each word of the page */
export function spansOf(words: Uint8Array): [begin: number, end: number][] {
  const spans: [number, number][] = [];
  for (let word = 0; word < words.length * 8; word++) {
    if ((words[word >> 3]! & (1 << (word & 7))) === 0) continue;
    const last = spans.at(-1);
    if (last?.[1] === word * WORD_BYTES) last[1] += WORD_BYTES;
    else spans.push([word * WORD_BYTES, (word + 1) * WORD_BYTES]);
  }
  return spans;
}

interface NodeUser {
  readonly node: string;
  readonly user: Pick<PageUser, 'pid' | 'other' | 'write' | 'words'>;
}

export function sharingOf(users: readonly NodeUser[]): Sharing {
  const processes = Map.groupBy(users, ({ node, user }) =>
    user.pid === 0n ? `${node} ${user.other}` : `${user.pid}`,
  );
  // Of others together nobody knows how many they are.
  const together = users.some(({ user }) => user.pid === 0n && user.other === 0);
  if (processes.size < 2) return together ? 'unknown' : 'alone';
  const touched = [...processes.values()].map((of) => ({
    all: union(of),
    written: union(of.filter(({ user }) => user.write)),
  }));
  if (touched.every(({ written }) => written === 0n)) {
    return users.some(({ user }) => user.write) ? 'unknown' : 'reads';
  }
  const shared = touched.some((one) =>
    touched.some((other) => other !== one && (one.written & other.all) !== 0n),
  );
  if (shared) return 'true';
  return touched.every(({ all }) => all !== 0n) ? 'false' : 'unknown';
}

const union = (users: readonly NodeUser[]): bigint =>
  users.reduce((all, { user }) => all | BigInt(`0x0${Buffer.from(user.words).toString('hex')}`), 0n);
