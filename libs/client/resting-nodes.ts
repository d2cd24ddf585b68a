// Nodes that were drained: nobody answers for them, and nothing is missing there.
import { NodeState } from '@odonata/proto/door/v1/door';
import type { Connection } from './connection.ts';

const ANSWER_MS = 2_000;

/** Of a cluster whose machines are one, and where the door does not answer: none that is known of. */
export async function restingNodes(
  to: Pick<Connection, 'door'>,
  signal?: AbortSignal,
): Promise<ReadonlySet<string>> {
  try {
    const { nodes } = await to.door().listNodes({}, { deadlineMs: ANSWER_MS, signal });
    return new Set(nodes.filter(({ state }) => state === NodeState.DRAINED).map(({ name }) => name));
  } catch {
    return new Set();
  }
}
