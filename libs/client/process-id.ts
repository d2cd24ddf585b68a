// A pid is its node's index and a number on that node: 200007 is the 7th process of node 2.
import { Code } from '@odonata/rpc/error.ts';
import { PIDS_PER_NODE } from '@odonata/rpc/pid.ts';
import { clientError } from './client-error.ts';
import type { Connection } from './connection.ts';

const ANSWER_MS = 5_000;

/** The node that runs, or ran, this process. @throws RpcError NOT_FOUND: there is no such node */
export async function nodeOfPid(to: Connection, pid: bigint, signal?: AbortSignal): Promise<string> {
  const index = Number(pid / BigInt(PIDS_PER_NODE));
  const node = (await to.nodes(signal)).find((candidate) => candidate.index === index);
  if (node) return node.name;
  const { cluster } = to;
  const about = { cluster, pid: String(pid) };
  throw clientError(Code.NotFound, 'NO_PROCESS', about, `no process ${pid} in cluster "${cluster}"`);
}

/** The same, where its supervisor answers: what follows may be silent for long because its process is. */
export async function answeringNodeOfPid(to: Connection, pid: bigint, signal?: AbortSignal): Promise<string> {
  const node = await nodeOfPid(to, pid, signal);
  await to.vkerneld(node).listVkernels({}, { deadlineMs: ANSWER_MS, signal });
  return node;
}
