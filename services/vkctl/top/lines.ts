// What `vkctl top` shows, as lines of a terminal: a pure function of what was seen, what its user chose, and how many lines
// there are. In 80 columns all but commands and names fits.

import type { Top, TopNode } from '@odonata/client/look/top.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { FAULT_PLACES, heads } from '../commands/status-tables.ts';
import { plainText, plural } from '../output.ts';
import { formatSize } from '../size.ts';
import { type Cell, type Column, table } from '../table.ts';

export const LISTS = ['processes', 'dataspaces', 'vkernels', 'queues'] as const;
export type List = (typeof LISTS)[number];

/** What each list may be sorted by; the first unless told otherwise. */
export const SORTS = {
  processes: ['cpu', 'private', 'shared', 'waits', 'pid'],
  dataspaces: ['moved', 'size', 'lost', 'name'],
  vkernels: ['processes', 'name'],
  queues: ['faults', 'out', 'changing', 'unread', 'name'],
} as const satisfies Record<List, readonly string[]>;

export interface Chosen {
  list: List;
  sort: string;
  filter: string;
  /** The selected row of the list. */
  row: number;
}

export interface Line {
  text: string;
  bold?: boolean;
  inverse?: boolean;
}

const pages = (count: bigint): string => formatSize(count * BigInt(PAGE_BYTES));
/** Whole numbers from ten on: what is less changes slowly. */
const rate = (perS: number): string =>
  perS >= 10 || perS === 0 ? String(Math.round(perS)) : perS.toFixed(1);

/** Rows of the list that are shown, in their order: the same for whoever selects one. */
export function rowsOf(top: Top, { list, sort, filter }: Chosen) {
  const wanted = filter.toLowerCase();
  const has = (...words: string[]): boolean => words.join(' ').toLowerCase().includes(wanted);
  switch (list) {
    case 'processes': {
      const by: Record<string, (p: Top['processes'][number]) => number> = {
        cpu: ({ cpuPercent }) => -cpuPercent,
        private: ({ residentPages }) => -Number(residentPages),
        shared: ({ sharedPages }) => -Number(sharedPages),
        waits: ({ waits }) => -waits,
        pid: ({ pid }) => Number(pid),
      };
      return top.processes
        .filter((p) => has(String(p.pid), p.node, p.vkernel, p.user, p.state, ...p.command))
        .sort((a, b) => by[sort]!(a) - by[sort]!(b) || Number(a.pid - b.pid))
        .map((process) => ({ pid: process.pid, cells: () => processCells(process) }));
    }
    case 'dataspaces': {
      const by: Record<string, (d: Top['dataspaces'][number]) => number> = {
        moved: ({ movedPerS }) => -movedPerS,
        size: ({ sizeBytes }) => -Number(sizeBytes),
        lost: ({ lostPages }) => -Number(lostPages),
        name: () => 0,
      };
      return top.dataspaces
        .filter((d) => has(d.name, d.owner, ...d.mappedBy))
        .sort((a, b) => by[sort]!(a) - by[sort]!(b) || a.name.localeCompare(b.name))
        .map((dataspace) => ({ pid: undefined, cells: () => dataspaceCells(dataspace) }));
    }
    case 'vkernels':
      return top.vkernels
        .filter((v) => has(v.name, v.node, v.user))
        .sort((a, b) => (sort === 'name' ? 0 : b.processes - a.processes) || a.name.localeCompare(b.name))
        .map((v) => ({
          pid: undefined,
          cells: (): Cell[] => [v.name, v.user || '-', v.node, v.hostPid, v.processes],
        }));
    case 'queues': {
      const by: Record<string, (q: Top['queues'][number]) => bigint> = {
        faults: (q) => q.faults,
        out: (q) => q.outBytes + q.inFlightBytes,
        changing: (q) => q.changing + q.parked,
        unread: (q) => q.unreadBytes,
        name: () => 0n,
      };
      return top.queues
        .filter(({ name }) => has(name))
        .map((queue, at) => ({ queue, at, by: by[sort]!(queue) }))
        .sort((a, b) => (a.by === b.by ? a.at - b.at : a.by < b.by ? 1 : -1))
        .map(({ queue }) => ({ pid: undefined, cells: () => queueCells(queue) }));
    }
  }
}

const HEADS: Record<List, Column[]> = {
  processes: heads('PID', 'NODE', 'VKERNEL', '>CPU', '>PRIVATE', '>SHARED', '>WAITS', 'COMMAND'),
  dataspaces: heads('DATASPACE', 'OWNER', '>SIZE', '>MOVED/s', '>LOCKS', '>LOST', 'PAGES AT'),
  vkernels: heads('VKERNEL', 'USER', 'NODE', '>HOST PID', '>PROCESSES'),
  queues: heads('WAITS AT', '>FAULTS', '>OUT', '>ON THE WAY', '>CHANGING', '>PARKED', '>UNREAD'),
};

const processCells = (p: Top['processes'][number]): Cell[] => [
  ...[p.pid, p.node, p.vkernel, `${rate(p.cpuPercent)}%`, pages(p.residentPages), pages(p.sharedPages)],
  ...[p.waits, p.command.join(' ')],
];

const dataspaceCells = (d: Top['dataspaces'][number]): Cell[] => [
  ...[d.name, d.owner, formatSize(d.sizeBytes), rate(d.movedPerS), d.locks, d.lostPages],
  Object.entries(d.ownedPages)
    .map(([node, count]) => `${node}:${count}`)
    .join(' ') || '-',
];

const queueCells = (q: Top['queues'][number]): Cell[] => [
  ...[q.name, q.faults, formatSize(q.outBytes), formatSize(q.inFlightBytes), q.changing, q.parked],
  formatSize(q.unreadBytes),
];

/** @param rows of the terminal; undefined: all that there is */
export function linesOf(top: Top, chosen: Chosen, rows?: number): Line[] {
  const parts = [nodesPart(top.nodes), faultsPart(top.nodes), directoryPart(top)].filter(
    (part) => part.length > 1,
  );
  const silent = top.silent.map((line) => ({ text: `not there: ${plainText(line)}` }));
  // The list has a third at least; where the tables above it have no room they are cut, and the busiest nodes stay.
  const wantedRows = parts.reduce((sum, part) => sum + part.length + 1, 0);
  const budget = rows === undefined ? wantedRows : Math.floor((rows * 2) / 3) - 2;
  const room =
    wantedRows <= budget ? Number.POSITIVE_INFINITY : Math.max(3, Math.floor(budget / parts.length) - 1);
  const above = [
    { text: titleOf(top), bold: true },
    ...silent.slice(0, 2),
    ...parts.flatMap((part) => cut(part, room)),
  ];
  const listed = rowsOf(top, chosen);
  const left = rows === undefined ? listed.length : Math.max(1, rows - above.length - 2);
  // As far down as the selected row is seen.
  const from = Math.max(0, Math.min(chosen.row - Math.floor(left / 2), listed.length - left));
  const seen = listed.slice(from, from + left);
  const [head = '', ...body] = lines(
    HEADS[chosen.list],
    seen.map(({ cells }) => cells()),
  );
  return [
    ...above,
    { text: '' },
    { text: head, bold: true },
    ...body.map((text, i) => ({ text, inverse: rows !== undefined && from + i === chosen.row })),
  ];
}

const titleOf = ({ cluster, time, nodes, vkernels, processes }: Top): string =>
  `vkctl top  ${cluster}  ${time.slice(11, 19)}  ${plural(nodes.length, 'node')}, ${plural(vkernels.length, 'vkernel')}, ${processes.length} ${processes.length === 1 ? 'process' : 'processes'}`;

const lines = (columns: Column[], rows: Cell[][]): string[] =>
  table(columns, rows, Number.POSITIVE_INFINITY).split('\n');

const faultsOf = ({ faults }: TopNode): number =>
  Object.values(faults).reduce((sum, { perS }) => sum + perS, 0);
const busiest = (nodes: readonly TopNode[]): TopNode[] =>
  nodes.length <= 8 ? [...nodes] : [...nodes].sort((a, b) => faultsOf(b) - faultsOf(a));

const nodesPart = (nodes: readonly TopNode[]): string[] =>
  lines(
    heads('NODE', '>FRAMES', '>PRIVATE', '>SHARED', '>IN/s', '>OUT/s', '>INVAL/s', '>PROCS', '>WAITS'),
    busiest(nodes).map((node) =>
      node.answers
        ? [
            ...[node.name, pages(node.framesTotal), pages(node.framesPrivate), pages(node.pagesShared)],
            ...[rate(node.pagesInPerS), rate(node.pagesOutPerS), rate(node.invalidationsPerS)],
            ...[node.processes, node.waiting],
          ]
        : [node.name, ...Array<string>(8).fill('?')],
    ),
  );

const faultsPart = (nodes: readonly TopNode[]): string[] =>
  lines(
    heads('FAULTS/s', ...FAULT_PLACES.flatMap((place) => [`>${place.toUpperCase()}`, '>ms'])),
    busiest(nodes).map(({ name, faults }) => [
      name,
      ...FAULT_PLACES.flatMap((place) => {
        const of = faults[place];
        return of === undefined ? ['0', '-'] : [rate(of.perS), `${millis(of.p50Us)}/${millis(of.p99Us)}`];
      }),
    ]),
  );

/** Median and 99th percentile are so in a column of eight: 0.14/137. */
const millis = (us: number): string =>
  us < 9_950 ? (us / 1_000).toPrecision(2).slice(0, 4) : String(Math.round(us / 1_000));

const directoryPart = ({ directory }: Top): string[] =>
  lines(
    heads('DIRECTORY', '>ACQUIRES/s', '>GRANTS/s', '>RECALLS/s', '>INVAL/s', '>AGAIN/s'),
    directory.map((d) => [
      ...[d.replica, rate(d.acquiresPerS), rate(d.grantsPerS), rate(d.recallsPerS)],
      ...[rate(d.invalidationsPerS), rate(d.resendsPerS)],
    ]),
  );

/** A table in so many lines, with an empty one before. */
function cut(part: readonly string[], room: number): Line[] {
  const [head = '', ...body] = part;
  const most = Math.max(1, room - 2);
  const shown = body.length <= room - 1 ? body : [...body.slice(0, most), `... ${body.length - most} more`];
  return [{ text: '' }, { text: head, bold: true }, ...shown.map((text) => ({ text }))];
}
