// On which node a program runs.
import { Code } from '@odonata/rpc/error.ts';
import { clientError } from './client-error.ts';
import type { Connection } from './connection.ts';

const ANSWER_MS = 3_000;

export interface Place {
  node: string;
  /** Empty: the node's default one. */
  vkernel: string;
}

/**
 * Where a program runs: on the node that is named; else where a virtual kernel of that name runs already; else on
 * the node with the fewest processes, the first of these.
 * @param place.vkernel NAME, or NODE/NAME
 */
export async function placeProgram(
  to: Connection,
  { node, vkernel: named = '' }: { node?: string; vkernel?: string },
  signal?: AbortSignal,
): Promise<Place> {
  const asked = { deadlineMs: ANSWER_MS, signal };
  const slash = named.indexOf('/');
  const vkernel = named.slice(slash + 1);
  const ofVkernel = slash < 0 ? undefined : named.slice(0, slash);
  if (node && ofVkernel && node !== ofVkernel) {
    const about = { node, vkernel: named };
    const what = `node "${node}" and the virtual kernel "${named}" are on different nodes`;
    throw clientError(Code.InvalidArgument, 'TWO_NODES', about, what);
  }
  const wanted = node ?? ofVkernel;
  if (wanted) {
    const found = await to.node(wanted, signal);
    if (!found.vkerneld) {
      const what = `node "${wanted}" has no vkerneld now`;
      throw clientError(Code.Unavailable, 'NO_VKERNELD', { node: wanted }, what);
    }
    // One that stopped would take the program and never start it.
    await Promise.all([to.vkerneld(wanted).listVkernels({}, asked), to.answeringNode(wanted, signal)]);
    return { node: wanted, vkernel };
  }
  const candidates = (await to.nodes(signal)).filter(({ vkerneld, pmapd }) => vkerneld && pmapd);
  const loads = await Promise.all(
    candidates.map(async ({ name }) => {
      // A node that does not answer takes no program.
      const vkernels = await Promise.all([
        to.vkerneld(name).listVkernels({}, asked),
        to.pmapd(name).getNodeStats({}, asked),
      ]).then(
        ([response]) => response.vkernels,
        () => undefined,
      );
      return {
        node: name,
        processes: vkernels?.reduce((sum, each) => sum + each.processes, 0) ?? Number.POSITIVE_INFINITY,
        has: vkernel !== '' && (vkernels?.some((each) => each.name === vkernel && each.hostPid > 0) ?? false),
      };
    }),
  );
  const answering = loads.filter(({ processes }) => Number.isFinite(processes));
  const best = answering.find(({ has }) => has) ?? answering.toSorted((a, b) => a.processes - b.processes)[0];
  if (!best) {
    const { cluster } = to;
    const what = `no node of cluster "${cluster}" takes programs now`;
    throw clientError(Code.Unavailable, 'NO_PLACE', { cluster }, what);
  }
  return { node: best.node, vkernel };
}
