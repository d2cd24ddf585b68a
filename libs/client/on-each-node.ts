// What is said to several nodes one after another: who cannot hear it is told of at the end, and keeps nobody else from it.
import { Code, RpcError } from '@odonata/rpc/error.ts';

/**
 * @returns what those answered that have what was asked about
 * @throws RpcError NOT_FOUND, of the last one, where none has it; what one of them failed with, and on which it counts
 */
export async function onEachNode<T>(
  nodes: readonly string[],
  ask: (node: string) => Promise<T>,
): Promise<T[]> {
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
  const [first] = failed;
  if (first !== undefined) throw done.length === 0 ? first.error : partly(first.error, done, failed);
  if (done.length === 0 && missing !== undefined) throw missing;
  return answers;
}

function partly(error: RpcError, done: readonly string[], failed: readonly { node: string }[]): RpcError {
  const not = failed.map(({ node }) => node);
  const again = not.map((node) => `--node ${node}`).join(', ');
  return new RpcError(
    error.code,
    `${error.details}; it counts on ${done.join(', ')}, and not on ${not.join(', ')}: say it again for those (${again}) when they are back`,
    { cause: error },
  );
}
