// What is said to several nodes one after another: who cannot hear it is told of at the end, and keeps nobody else from it.
import { Code, RpcError } from '@odonata/rpc/error.ts';

import type { KnownNodes } from './resting-nodes.ts';

interface Answers<T> {
  readonly answers: T[];
  readonly done: string[];
  readonly failed: { node: string; error: RpcError }[];
  readonly missing: RpcError | undefined;
}

/**
 * @returns what those answered that have what was asked about
 * @throws RpcError NOT_FOUND, of the last one, where none has it; what one of them failed with, and on which it counts
 */
export async function onEachNode<T>(
  nodes: readonly string[],
  ask: (node: string) => Promise<T>,
): Promise<T[]> {
  const { answers, done, failed, missing } = await askEach(nodes, ask);
  if (failed.length > 0) throw partly(done, failed);
  if (done.length === 0 && missing !== undefined) throw missing;
  return answers;
}

/**
 * The same of what is kept as well, for those that are away now.
 * @param keep after the nodes were told; false: it cannot be kept, and who is away never hears it
 * @throws RpcError as above, but of who is away only where nothing is kept
 */
export async function tellEachNode<T>(
  nodes: Pick<KnownNodes, 'names'> & Partial<KnownNodes>,
  ask: (node: string) => Promise<T>,
  keep: (away: string[]) => Promise<boolean>,
): Promise<{ answers: T[]; away: string[] }> {
  const { answers, done, failed, missing } = await askEach(nodes.names, async (node) => {
    if (nodes.away?.has(node)) throw new RpcError(Code.Unavailable, `${node} rests or is away`);
    return await ask(node);
  });
  const away = failed.filter(({ error }) => isAway(error));
  if (away.length < failed.length) throw partly(done, failed);
  if (done.length === 0 && missing !== undefined) throw missing;
  const names = away.map(({ node }) => node);
  let kept: boolean;
  try {
    kept = await keep(names);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    const counts = done.length === 0 ? 'it counts nowhere' : `it counts on ${done.join(', ')}`;
    const text = `${error.details}; ${counts}, and is not kept for nodes that are away or come later: say it again`;
    throw new RpcError(error.code, text, { cause: error });
  }
  if (!kept && away.length > 0) throw partly(done, away);
  return { answers, away: names };
}

const isAway = (error: RpcError): boolean =>
  RpcError.is(error, Code.Unavailable) || RpcError.is(error, Code.DeadlineExceeded);

async function askEach<T>(nodes: readonly string[], ask: (node: string) => Promise<T>): Promise<Answers<T>> {
  const answers: T[] = [];
  const done: string[] = [];
  const failed: { node: string; error: RpcError }[] = [];
  let missing: RpcError | undefined;
  for (const node of nodes) {
    try {
      answers.push(await ask(node));
      done.push(node);
    } catch (error) {
      if (RpcError.is(error, Code.NotFound)) missing = error;
      else if (error instanceof RpcError) failed.push({ node, error });
      else throw error;
    }
  }
  return { answers, done, failed, missing };
}

function partly(done: readonly string[], failed: readonly { node: string; error: RpcError }[]): RpcError {
  const { error } = failed[0]!;
  if (done.length === 0) return error;
  const not = failed.map(({ node }) => node);
  const again = not.map((node) => `--node ${node}`).join(', ');
  return new RpcError(
    error.code,
    `${error.details}; it counts on ${done.join(', ')}, and not on ${not.join(', ')}: say it again for those (${again}) when they are back`,
    { cause: error },
  );
}
