// On which node a program runs.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { type Candidate, choosePlace } from '@odonata/processes/placement.ts';
import type { Vkernel } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import { clientError } from './client-error.ts';
import type { Connection } from './connection.ts';
import { usageOf } from './dataspace-detail.ts';
import { nodeOfPid } from './process-id.ts';
import { restingNodes } from './resting-nodes.ts';

const ANSWER_MS = 3_000;
const DEFAULT_VKERNEL = 'default';

export interface Place {
  node: string;
  /** Empty: the node's default one. */
  vkernel: string;
}

export interface Where {
  node?: string;
  /** NAME, or NODE/NAME. */
  vkernel?: string;
  /** It is there, or nothing is placed: the node's default one always is. */
  existing?: boolean;
  /** Where the fewest processes of virtual kernels of that name run, whether it runs there or not. */
  spread?: boolean;
  /** A dataspace: where most of its pages are. */
  near?: string;
  /** Pids and names of nodes: not where these processes run, and not on these nodes. */
  apartFrom?: readonly string[];
  memoryBytes?: number | bigint;
}

/**
 * Where a program runs: on the node that is named; else as the rest says. Where nothing does, where a virtual kernel of that name runs
 * already, else by libs/processes/placement.ts.
 * @throws RpcError INVALID_ARGUMENT (two nodes named), NOT_FOUND (the dataspace, the node), UNAVAILABLE (no node takes it)
 */
export async function placeProgram(to: Connection, where: Where, signal?: AbortSignal): Promise<Place> {
  const { node, vkernel: named = '', spread = false, near, apartFrom = [] } = where;
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
  const isKnown = where.existing !== true || vkernel === '' || vkernel === DEFAULT_VKERNEL;
  const own = to.identity?.caller.name;
  const isIt = (each: Pick<Vkernel, 'name' | 'user' | 'lodger'>) =>
    each.name === vkernel && each.lodger === undefined && (own === undefined || each.user === own);
  if (wanted) {
    const found = await to.node(wanted, signal);
    if (!found.vkerneld && (await restingNodes(to, signal)).has(wanted))
      throw clientError(
        Code.Unavailable,
        'NODE_RESTS',
        { node: wanted },
        `node "${wanted}" was drained, and rests`,
      );
    if (!found.vkerneld) {
      const what = `node "${wanted}" has no vkerneld now`;
      throw clientError(Code.Unavailable, 'NO_VKERNELD', { node: wanted }, what);
    }
    // One that stopped would take the program and never start it.
    const [{ vkernels }] = await Promise.all([
      to.vkerneld(wanted).listVkernels({}, asked),
      to.answeringNode(wanted, signal, found),
    ]);
    if (!isKnown && !vkernels.some(isIt)) throw noVkernel(to, vkernel, wanted);
    return { node: wanted, vkernel };
  }
  const [pages, shunned, nodes] = await Promise.all([
    near === undefined ? undefined : usageOf(to, near, signal).then(({ usage }) => usage.ownedPages),
    Promise.all(apartFrom.map((each) => nodeApart(to, each, signal))),
    to.nodes(signal),
  ]);
  const answers = await Promise.all(
    nodes
      .filter((each) => each.vkerneld && each.pmapd)
      .map(async ({ name }): Promise<(Candidate & { has: boolean; isIts: boolean }) | undefined> => {
        // A node that does not answer takes no program.
        const known = await Promise.all([
          to.vkerneld(name).listVkernels({}, asked),
          to.pmapd(name).getNodeStats({}, asked),
        ]).catch(() => undefined);
        if (known === undefined) return undefined;
        const [{ vkernels }, { cores, framesTotal, framesPrivate, pagesShared }] = known;
        const kin = vkernels.filter((each) => each.name === (vkernel || DEFAULT_VKERNEL));
        return {
          node: name,
          processes: vkernels.reduce((sum, each) => sum + each.processes, 0),
          cores,
          freeBytes: Number(framesTotal - framesPrivate - pagesShared) * PAGE_BYTES,
          pages: Number(pages?.[name] ?? 0n),
          kin: spread ? kin.reduce((sum, each) => sum + each.processes, 0) : 0,
          isShunned: shunned.includes(name),
          isIts: vkernels.some(isIt),
          has: vkernel !== '' && kin.some(({ hostPid, parkedAt }) => hostPid > 0 || parkedAt !== undefined),
        };
      }),
  );
  const all = answers.filter((each) => each !== undefined);
  const answering = isKnown ? all : all.filter(({ isIts }) => isIts);
  if (all.length > 0 && answering.length === 0) throw noVkernel(to, vkernel);
  const isFree = !spread && near === undefined;
  const home = isFree ? answering.find(({ has, isShunned }) => has && !isShunned) : undefined;
  const best = home ?? choosePlace(answering, Number(where.memoryBytes ?? 0));
  if (best) return { node: best.node, vkernel };
  const { cluster } = to;
  const but = shunned.length > 0 ? ` but ${[...new Set(shunned)].sort().join(', ')}` : '';
  const what = `no node of cluster "${cluster}"${but} takes programs now`;
  throw clientError(Code.Unavailable, 'NO_PLACE', { cluster, but }, what);
}

function noVkernel({ cluster }: Connection, vkernel: string, node = ''): RpcError {
  const on = node === '' ? `in cluster "${cluster}"` : `on node "${node}"`;
  const what = `no virtual kernel "${vkernel}" of yours is ${on}`;
  return clientError(Code.NotFound, 'NO_VKERNEL', { cluster, vkernel, node }, what);
}

/** Of a process, or the node itself. */
async function nodeApart(to: Connection, from: string, signal?: AbortSignal): Promise<string> {
  return /^\d+$/.test(from) ? await nodeOfPid(to, BigInt(from), signal) : (await to.node(from, signal)).name;
}
