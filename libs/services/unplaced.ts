// Replicas that no node may take, and why: of a service as it is wanted, by the records and the nodes that are there.
import * as plan from './plan.ts';
import { type ServiceRecord, serviceKey } from './record.ts';

export interface Unplaced {
  readonly replicas: number;
  readonly why: string;
}

const NAMES_SHOWN = 5;

/** Undefined: each has a node, or one that will take it, or waits for another service. */
export function unplaced(
  look: plan.Look,
  service: ServiceRecord,
  nodes: readonly string[],
): Unplaced | undefined {
  const { owner, name, replicas, removed, spec } = service;
  if (removed || plan.waitsFor(look, service).length > 0) return undefined;
  const kind = serviceKey(owner, name);
  const counts = new Map<string, number>();
  let open = 0;
  for (let replica = 0; replica < replicas; replica++) {
    const record = plan.instanceOf(look, owner, name, replica);
    if (record !== undefined && !plan.isFree(look, record))
      counts.set(record.node, (counts.get(record.node) ?? 0) + 1);
    else if (record === undefined || !plan.isOver(record) || record.generation < service.generation) open++;
  }
  let left = 0;
  for (; open > 0; open--) {
    const has = (node: string, of?: string) => (of === kind ? (counts.get(node) ?? 0) : 0);
    const [best] = plan.nodesFor(service, nodes, has);
    if (best === undefined) left++;
    else counts.set(best, (counts.get(best) ?? 0) + 1);
  }
  return left === 0 ? undefined : { replicas: left, why: whyOf(spec, nodes) };
}

function whyOf({ nodes: named, maxPerNode }: ServiceRecord['spec'], nodes: readonly string[]): string {
  const away = named.filter((node) => !nodes.includes(node));
  const most = maxPerNode === 0 ? '' : `, and at most ${maxPerNode} each (placement.max_replicas_per_node)`;
  if (named.length === 0) return `the cluster has ${countOf(nodes.length)}${most}`;
  if (away.length === 0) return `placement.nodes names ${countOf(named.length)}${most}`;
  const which =
    away.length === named.length && away.length > 1
      ? `none of the ${named.length} nodes named (${shown(away)}) is in the cluster now`
      : named.length === 1
        ? `${named[0]}, the only node named, is not in the cluster now`
        : `of the ${named.length} nodes named ${shown(away)} ${away.length === 1 ? 'is' : 'are'} not in the cluster now`;
  return away.length === named.length ? which : which + most;
}

const countOf = (nodes: number): string => (nodes === 1 ? '1 node' : `${nodes} nodes`);
const shown = (names: readonly string[]): string =>
  names.length <= NAMES_SHOWN
    ? names.join(', ')
    : `${names.slice(0, NAMES_SHOWN).join(', ')} and ${names.length - NAMES_SHOWN} more`;
