import type { Connection } from '../connection.ts';
import { Failure } from '../failure.ts';

const ANSWER_MS = 3_000;

export interface Place {
  node: string;
  /** Empty: the node's default one. */
  vkernel: string;
}

/**
 * Where a program runs: on the node that is named; else where a virtual kernel of that name runs already; else on
 * the node with the fewest processes, the first of these.
 */
export async function placeProgram(
  to: Connection,
  { node, vkernel: named = '' }: { node?: string; vkernel?: string },
): Promise<Place> {
  const slash = named.indexOf('/');
  const vkernel = named.slice(slash + 1);
  const ofVkernel = slash < 0 ? undefined : named.slice(0, slash);
  if (node && ofVkernel && node !== ofVkernel) {
    throw new Failure(`--node ${node} and --vkernel ${named} are on different nodes`, { exitCode: 2 });
  }
  const wanted = node ?? ofVkernel;
  if (wanted) {
    const found = await to.node(wanted);
    if (!found.vkerneld)
      throw new Failure(`node "${wanted}" has no vkerneld now`, { fix: 'See: vkctl status' });
    // One that stopped would take the program and never start it.
    await Promise.all([
      to.vkerneld(wanted).listVkernels({}, { deadlineMs: ANSWER_MS }),
      to.answeringNode(wanted),
    ]);
    return { node: wanted, vkernel };
  }
  const candidates = (await to.nodes()).filter(({ vkerneld, pmapd }) => vkerneld && pmapd);
  const loads = await Promise.all(
    candidates.map(async ({ name }) => {
      // A node that does not answer takes no program.
      const vkernels = await Promise.all([
        to.vkerneld(name).listVkernels({}, { deadlineMs: ANSWER_MS }),
        to.pmapd(name).getNodeStats({}, { deadlineMs: ANSWER_MS }),
      ]).then(
        ([response]) => response.vkernels,
        () => undefined,
      );
      return {
        node: name,
        processes: vkernels?.reduce((sum, each) => sum + each.processes, 0) ?? Number.POSITIVE_INFINITY,
        has: vkernel !== '' && (vkernels?.some((each) => each.name === vkernel) ?? false),
      };
    }),
  );
  const answering = loads.filter(({ processes }) => Number.isFinite(processes));
  const best = answering.find(({ has }) => has) ?? answering.toSorted((a, b) => a.processes - b.processes)[0];
  if (!best)
    throw new Failure(`no node of cluster "${to.cluster}" takes programs now`, { fix: 'See: vkctl status' });
  return { node: best.node, vkernel };
}
