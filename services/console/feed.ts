// What the page is told: all at first, then what changed. Rows are compact; numbers that JSON has not are texts.
import type { Top } from '@odonata/client/look/top.ts';

export interface NodeRow {
  name: string;
  answers: boolean;
  frames: number;
  private: number;
  shared: number;
  pagesIn: number;
  pagesOut: number;
  invalidations: number;
  processes: number;
  waiting: number;
  /** By kind: a second, and the latency in microseconds. */
  faults: Record<string, [perS: number, p50Us: number, p99Us: number]>;
  vkernels: [name: string, user: string, processes: number][];
}

export interface ProcessRow {
  pid: string;
  node: string;
  vkernel: string;
  user: string;
  state: string;
  command: string;
  cpu: number;
  resident: number;
  shared: number;
  waits: number;
}

export interface DataspaceRow {
  name: string;
  owner: string;
  bytes: number;
  moved: number;
  lost: number;
  locks: number;
  owned: Record<string, number>;
  mappedBy: string[];
}

export interface EventRow {
  atMs: number;
  severity: string;
  service: string;
  node: string;
  kind: string;
  text: string;
}

export interface Rows {
  cluster: string;
  atMs: number;
  nodes: NodeRow[];
  dataspaces: DataspaceRow[];
  processes: ProcessRow[];
  silent: string[];
  directory: { acquires: number; grants: number; recalls: number; invalidations: number };
}

/** The same with only the processes that changed. */
export type Delta = Omit<Rows, 'processes'> & { processes: ProcessRow[]; ended: string[] };

/** A table of more is cut: nobody reads it. */
const PROCESSES_MAX = 20_000;
const COMMAND_MAX = 200;

export function lookRows(top: Top): Rows {
  const sum = (pick: (replica: Top['directory'][number]) => number) =>
    top.directory.reduce((all, replica) => all + pick(replica), 0);
  return {
    cluster: top.cluster,
    atMs: Date.parse(top.time),
    nodes: top.nodes.map((node) => ({
      ...{ name: node.name, answers: node.answers, frames: Number(node.framesTotal) },
      ...{ private: Number(node.framesPrivate), shared: Number(node.pagesShared) },
      ...{ pagesIn: node.pagesInPerS, pagesOut: node.pagesOutPerS, invalidations: node.invalidationsPerS },
      ...{ processes: node.processes, waiting: node.waiting },
      faults: Object.fromEntries(
        Object.entries(node.faults).map(([kind, { perS, p50Us, p99Us }]) => [kind, [perS, p50Us, p99Us]]),
      ),
      vkernels: top.vkernels
        .filter((vkernel) => vkernel.node === node.name)
        .map(({ name, user, processes }) => [name, user, processes]),
    })),
    dataspaces: top.dataspaces.map((each) => ({
      ...{ name: each.name, owner: each.owner, bytes: Number(each.sizeBytes), moved: each.movedPerS },
      ...{ lost: Number(each.lostPages), locks: Number(each.locks), mappedBy: each.mappedBy },
      owned: Object.fromEntries(
        Object.entries(each.ownedPages).map(([node, pages]) => [node, Number(pages)]),
      ),
    })),
    processes: top.processes.slice(0, PROCESSES_MAX).map((process) => ({
      ...{ pid: String(process.pid), node: process.node, vkernel: process.vkernel, user: process.user },
      ...{ state: process.state, command: process.command.join(' ').slice(0, COMMAND_MAX) },
      ...{ cpu: process.cpuPercent, resident: Number(process.residentPages) },
      ...{ shared: Number(process.sharedPages), waits: process.waits },
    })),
    silent: top.silent,
    directory: {
      acquires: sum((replica) => replica.acquiresPerS),
      grants: sum((replica) => replica.grantsPerS),
      recalls: sum((replica) => replica.recallsPerS),
      invalidations: sum((replica) => replica.invalidationsPerS),
    },
  };
}

/** What one window has seen. */
export class Deltas {
  #sent = new Map<string, string>();

  next(rows: Rows): Delta {
    const now = new Map(rows.processes.map((row) => [row.pid, JSON.stringify(row)]));
    const processes = rows.processes.filter(({ pid }) => this.#sent.get(pid) !== now.get(pid));
    const ended = [...this.#sent.keys()].filter((pid) => !now.has(pid));
    this.#sent = now;
    return { ...rows, processes, ended };
  }
}
