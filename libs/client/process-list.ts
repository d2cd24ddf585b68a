// The processes of all nodes, and what pmap managers know of them. A node that does not answer is named beside those that
// do: a list that lacks it is no whole answer.
import type { Vmspace } from '@odonata/proto/pmap/v1/pmap';
import type { Process } from '@odonata/proto/vkernel/v1/vkernel';
import { orAborted } from './abort.ts';
import type { Connection } from './connection.ts';
import { allPages } from './list-pages.ts';
import { restingNodes } from './resting-nodes.ts';

const ANSWER_MS = 5_000;
const PAGE_ITEMS = 1_000;

/** Who did not answer, and how. */
export interface Silent {
  node: string;
  error: unknown;
}

export interface ProcessList {
  /** By pid; also those that ended, as long as their node knows of them. */
  processes: Process[];
  silent: Silent[];
}

export interface VmspaceList {
  vmspaces: Vmspace[];
  silent: Silent[];
}

/** @param answerMs of a node: one that takes longer is silent */
export async function listProcesses(
  to: Connection,
  signal?: AbortSignal,
  answerMs = ANSWER_MS,
): Promise<ProcessList> {
  const { items, silent } = await ofEachNode(to, signal, (node) =>
    allPages(
      (pageToken) =>
        to
          .vkerneld(node)
          .listProcesses({ pageSize: PAGE_ITEMS, pageToken }, { deadlineMs: answerMs, signal }),
      ({ processes }) => processes,
    ),
  );
  return { processes: items.sort((a, b) => (a.pid < b.pid ? -1 : 1)), silent };
}

/** The memory of processes: what they share, and what they wait for. */
export async function listVmspaces(
  to: Connection,
  signal?: AbortSignal,
  answerMs = ANSWER_MS,
): Promise<VmspaceList> {
  const { items, silent } = await ofEachNode(to, signal, (node) =>
    allPages(
      (pageToken) =>
        to.pmapd(node).listVmspaces({ pageSize: PAGE_ITEMS, pageToken }, { deadlineMs: answerMs, signal }),
      ({ vmspaces }) => vmspaces,
    ),
  );
  return { vmspaces: items, silent };
}

/** What all nodes list, and the nodes that do not answer though they work. */
export async function ofEachNode<T>(
  to: Connection,
  signal: AbortSignal | undefined,
  list: (node: string) => Promise<T[]>,
): Promise<{ items: T[]; silent: Silent[] }> {
  const silent: Silent[] = [];
  const lists = (await to.nodes(signal)).map(({ name }) =>
    list(name).catch((error) => {
      // Our own line broke: that says nothing of the node.
      if (!to.connected) throw error;
      silent.push({ node: name, error });
      return [];
    }),
  );
  const items = (await orAborted(Promise.all(lists), signal)).flat();
  if (silent.length === 0) return { items, silent };
  const resting = await restingNodes(to, signal);
  return { items, silent: silent.filter(({ node }) => !resting.has(node)) };
}
