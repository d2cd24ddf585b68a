// The texts of /proc. Where Linux has the same file, lines and words are those of Linux.
import { loadavg, uptime } from 'node:os';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import {
  type ClusterLooked,
  type Process,
  ProcessState,
  type Vkernel,
} from '@odonata/proto/vkernel/v1/vkernel';
import { WIRE } from '@odonata/rpc/wire-version.ts';
import type { HomeRoom } from '../../home-size.ts';
import type { DataspaceAbout } from '../dataspaces.ts';

type NodeStats = ClusterLooked['nodes'][number];
type Memory = ClusterLooked['vmspaces'][number];

const kib = (pages: bigint | number): bigint => (BigInt(pages) * BigInt(PAGE_BYTES)) / 1024n;
const kibOf = (bytes: number): number => Math.floor(bytes / 1024);
const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

/** Columns that a person reads, and awk(1), too. */
function columns(head: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const cells = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  return lines(
    cells.map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    ),
  );
}

const STATES: Readonly<Record<number, string>> = {
  [ProcessState.STARTING]: 'D (starting)',
  [ProcessState.RUNNING]: 'R (running)',
  [ProcessState.STOPPED]: 'T (stopped)',
  [ProcessState.ENDING]: 'Z (ending)',
};

/** As Linux has it, where one that computes now and then runs. */
const stateOf = ({ state, sleeps }: Process): string =>
  state === ProcessState.RUNNING && sleeps ? 'S (sleeping)' : (STATES[state] ?? 'X (ended)');

export function statusText(process: Process): string {
  const { pid, node, vkernel, user, command, threads, residentPages, cpuMs, startedAt } = process;
  const about: [string, unknown][] = [
    ['Name', command[0] ?? ''],
    ['State', stateOf(process)],
    ['Pid', pid],
    ['Node', node],
    ['Vkernel', vkernel],
    ['User', user],
    ['Threads', Math.max(1, threads)],
    ['VmRSS', `${kib(residentPages)} kB`],
    ['CpuMs', cpuMs],
    ['Started', startedAt === undefined ? '-' : new Date(timestampMs(startedAt)).toISOString()],
  ];
  return lines(about.map(([key, value]) => `${key}:\t${value}`));
}

/** Ticks of Linux's clocks in a second. */
const TICKS = 100;

/** In Linux's one line, for programs that read that: what there is none of is 0. Its start is counted from that of this machine. */
export function statText(process: Process): string {
  const { pid, command, parent, group, session, threads, residentPages, cpuMs, startedAt } = process;
  const letter = stateOf(process).slice(0, 1);
  const ageSeconds = startedAt === undefined ? 0 : (Date.now() - timestampMs(startedAt)) / 1000;
  const start = Math.max(0, Math.round((uptime() - ageSeconds) * TICKS));
  const ticks = (Number(cpuMs) * TICKS) / 1000;
  const none = (count: number): number[] => Array(count).fill(0);
  const bytes = BigInt(residentPages) * BigInt(PAGE_BYTES);
  const name = (command[0] ?? '').replaceAll(/[()\s]/g, '_').slice(0, 64);
  const fields = [
    ...[pid, `(${name})`, letter, parent, group, session, 0, -1, 0, ...none(4)],
    ...[Math.round(ticks), ...none(3), 20, 0, Math.max(1, threads), 0, start, bytes, residentPages],
    ...none(28),
  ];
  return lines([fields.join(' ')]);
}

/** Where frames are taken for files, and how many may be. */
export interface FilesRoom {
  readonly framesMax: number;
  readonly usedFrames: number;
}

/** As Linux has it; after its fields, where there is a bound: how many KiB there are, and how many are free. */
export const mountsText = (memory: FilesRoom, home?: HomeRoom): string =>
  lines([
    ...(home === undefined
      ? []
      : [`home ${home.path} home rw 0 0 ${kibOf(home.mostBytes)} ${kibOf(home.freeBytes)}`]),
    `tmpfs /tmp tmpfs rw 0 0 ${kib(memory.framesMax)} ${kib(memory.framesMax - memory.usedFrames)}`,
    'dataspaces /shared dataspaces rw 0 0',
    'proc /proc proc ro 0 0',
    'devices /dev devices rw 0 0',
  ]);

/** Each word ends with a zero byte. */
export const cmdlineText = ({ command }: Process): string => command.map((word) => `${word}\0`).join('');

const hex = (value: bigint): string => value.toString(16).padStart(8, '0');

/** As Linux has it: addresses of linear memory, what may be done there, the offset, and which dataspace that is. */
export function mapsText({ entries }: Memory, nameOf: (dataspace: bigint) => string): string {
  const sorted = [...entries].sort((a, b) => (a.address < b.address ? -1 : 1));
  return lines(
    sorted.map(({ address, lengthBytes, dataspace, offsetBytes, writable, linearOffset }) => {
      const begin = linearOffset ?? address;
      const may = writable ? 'rw-s' : 'r--s';
      return `${hex(begin)}-${hex(begin + lengthBytes)} ${may} ${hex(offsetBytes)} 00:00 ${dataspace} ${nameOf(dataspace)}`;
    }),
  );
}

/** What it has of memory, and faults of its that wait for long. */
export function faultsText({ privatePages, sharedPages, waits }: Memory): string {
  return lines([
    `private_pages ${privatePages}`,
    `shared_pages ${sharedPages}`,
    `waiting ${waits.length}`,
    ...waits.map(({ what, reason, waitedMs }) =>
      `wait ${waitedMs} ms ${what}: ${reason}`.replaceAll('\n', ' '),
    ),
  ]);
}

export const nodesText = (nodes: readonly NodeStats[]): string =>
  columns(
    ['NODE', 'INDEX', 'FRAMES', 'PRIVATE', 'SHARED', 'PAGES_IN', 'PAGES_OUT', 'INVALIDATIONS', 'VMSPACES'],
    nodes.map((node) => [
      ...[node.node, node.nodeIndex, node.framesTotal, node.framesPrivate, node.pagesShared],
      ...[node.pagesIn, node.pagesOut, node.invalidations, node.vmspaces + node.handmadeVmspaces],
    ]),
  );

export const vkernelsText = (vkernels: readonly Vkernel[]): string =>
  columns(
    ['VKERNEL', 'NODE', 'USER', 'PROCESSES'],
    vkernels.map(({ name, node, user, processes }) => [name, node, user, processes]),
  );

export const dataspacesText = (dataspaces: readonly DataspaceAbout[]): string =>
  columns(
    ['NAME', 'SIZE', 'ID', 'OWNER', 'MODE'],
    dataspaces.map(({ name, sizeBytes, id, owner, mode }) => [
      name,
      sizeBytes,
      id,
      owner,
      mode.toString(8).padStart(3, '0'),
    ]),
  );

/** Of all nodes together. */
export function meminfoText(nodes: readonly NodeStats[]): string {
  const sum = (of: (node: NodeStats) => bigint): bigint => nodes.reduce((all, node) => all + of(node), 0n);
  const total = sum(({ framesTotal }) => framesTotal);
  const privateFrames = sum(({ framesPrivate }) => framesPrivate);
  const shared = sum(({ pagesShared }) => pagesShared);
  const swap = sum(({ pageout }) => pageout?.swapBytes ?? 0n) / 1024n;
  const swapUsed = sum(({ pageout }) => pageout?.swapUsedBytes ?? 0n) / 1024n;
  const free = total - privateFrames - shared;
  const about: [string, bigint][] = [
    ['MemTotal', kib(total)],
    ['MemFree', kib(free < 0n ? 0n : free)],
    ['MemAvailable', kib(free < 0n ? 0n : free)],
    ['Private', kib(privateFrames)],
    ['Shmem', kib(shared)],
    ['SwapTotal', swap],
    ['SwapFree', swap - swapUsed],
  ];
  return lines(about.map(([key, value]) => `${`${key}:`.padEnd(16)}${String(value).padStart(12)} kB`));
}

/** Of this machine; then those of the person's processes that compute, and all of them, and the last pid. */
export function loadavgText(processes: readonly Process[]): string {
  const load = loadavg().map((each) => each.toFixed(2));
  const running = processes.filter((process) => stateOf(process).startsWith('R')).length;
  return lines([`${load.join(' ')} ${running}/${processes.length} ${processes.at(-1)?.pid ?? 0}`]);
}

/** Of this machine, in seconds. */
export const uptimeText = (): string => lines([`${uptime().toFixed(2)} 0.00`]);

export const versionText = (): string => lines([`Odonata, wire ${WIRE.newest}`]);
