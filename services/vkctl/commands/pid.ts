import type { Connection } from '../connection.ts';
import { EXIT, Failure } from '../failure.ts';

/** A pid is its node's index and a number on that node: 200007 is the 7th process of node 2. */
const PIDS_PER_NODE = 100_000n;

export function parsePid(text: string): bigint {
  if (/^\d{1,18}$/.test(text) && BigInt(text) > 0n) return BigInt(text);
  throw new Failure(`"${text}" is not a pid`, { fix: 'List them with: vkctl ps -a', exitCode: EXIT.usage });
}

/** The node that runs, or ran, this process. */
export async function nodeOfPid(to: Connection, pid: bigint): Promise<string> {
  const index = Number(pid / PIDS_PER_NODE);
  const node = (await to.nodes()).find((candidate) => candidate.index === index);
  if (node) return node.name;
  throw new Failure(`no process ${pid} in cluster "${to.cluster}"`, { fix: 'List them with: vkctl ps -a' });
}

const ANSWER_MS = 5_000;

/** The same, where its supervisor answers: what follows may be silent for long because its process is. */
export async function answeringNodeOfPid(to: Connection, pid: bigint): Promise<string> {
  const node = await nodeOfPid(to, pid);
  await to.vkerneld(node).listVkernels({}, { deadlineMs: ANSWER_MS });
  return node;
}
