// Nodes that were drained: nobody answers for them, and nothing is missing there. And those that the cluster has beside the ones that
// routers know: they are down for long, or rest.
import { type Node, NodeState } from '@odonata/proto/door/v1/door';
import type { Connection } from './connection.ts';

const ANSWER_MS = 2_000;

/** Of a cluster whose machines are one, and where the door does not answer: none that is known of. */
async function nodesAtDoor(to: Pick<Connection, 'door'>, signal: AbortSignal | undefined): Promise<Node[]> {
  try {
    return (await to.door().listNodes({}, { deadlineMs: ANSWER_MS, signal })).nodes;
  } catch {
    return [];
  }
}

export async function restingNodes(
  to: Pick<Connection, 'door'>,
  signal?: AbortSignal,
): Promise<ReadonlySet<string>> {
  const nodes = await nodesAtDoor(to, signal);
  return new Set(nodes.filter(({ state }) => state === NodeState.DRAINED).map(({ name }) => name));
}

/** Nodes that belong to the cluster, whether they run or not. */
export interface KnownNodes {
  /** By index. */
  readonly names: string[];
  /** Those of which it is known that they rest, or that their machine is away: nobody there answers. */
  readonly away: ReadonlySet<string>;
  /** Those that lodge on a machine of another cluster, of which no program gets a folder. */
  readonly lodging: ReadonlySet<string>;
}

/** @param only this one @throws RpcError NOT_FOUND that lists the others when there is none of that name */
export async function nodesKnown(
  to: Pick<Connection, 'door' | 'nodes' | 'node'>,
  only?: string,
  signal?: AbortSignal,
): Promise<KnownNodes> {
  const [there, atDoor] = await Promise.all([to.nodes(signal), nodesAtDoor(to, signal)]);
  const connected = new Set(there.filter((each) => each.vkerneld !== undefined).map(({ name }) => name));
  const isAway = ({ name, state }: Node): boolean =>
    state === NodeState.DRAINED || (state === NodeState.AWAY && !connected.has(name));
  const away = new Set(atDoor.filter(isAway).map(({ name }) => name));
  const all = [...new Set([...atDoor, ...there].sort((a, b) => a.index - b.index).map(({ name }) => name))];
  const lodging = new Set(atDoor.filter(({ lodges }) => lodges !== undefined).map(({ name }) => name));
  if (only === undefined) return { names: all, away, lodging };
  return { names: all.includes(only) ? [only] : [(await to.node(only, signal)).name], away, lodging };
}
