// What follows from the records alone: who has an instance, whose turn it is in a rollout, what a service waits for, which node is
// the best for it. No time, no state.
import {
  type InstanceRecord,
  instanceKey,
  type NodeRecord,
  nodeKey,
  REPLICAS_MAX,
  type ServiceRecord,
  type ServiceSpec,
  type StoredRecord,
  serviceKey,
} from './record.ts';

export type Look = (key: string) => StoredRecord | undefined;

export const instanceOf = (look: Look, owner: string, service: string, replica: number) =>
  look(instanceKey(owner, service, replica)) as InstanceRecord | undefined;

/** It ended for good, at its generation. */
export const isOver = ({ state }: InstanceRecord): boolean => state === 'ended' || state === 'failed';

/** Nobody runs it, or may. */
export function isFree(look: Look, { node, epoch }: InstanceRecord): boolean {
  if (node === '') return true;
  const lease = look(nodeKey(node)) as NodeRecord | undefined;
  return lease === undefined || lease.epoch !== epoch;
}

/** What it runs as; a generation that nobody knows any more: as the newest. */
export function specOf({ generation, spec, previous }: ServiceRecord, wanted: number): ServiceSpec {
  if (wanted === generation) return spec;
  return previous.find((each) => each.generation === wanted)?.spec ?? spec;
}

/** Each replica is replaced once all before it are, and well: a bad generation reaches one. */
export function mayUpdate(look: Look, { owner, name, generation }: ServiceRecord, replica: number): boolean {
  for (let before = 0; before < replica; before++) {
    const each = instanceOf(look, owner, name, before);
    if (each?.generation !== generation) return false;
    if (each.state !== 'healthy' && each.state !== 'ended') return false;
  }
  return true;
}

/** As what it is to run, where its node is gone. */
export function generationFor(look: Look, service: ServiceRecord, replica: number): number {
  const { owner, name, generation, previous } = service;
  const had = instanceOf(look, owner, name, replica)?.generation;
  if (had === undefined || !previous.some((each) => each.generation === had)) return generation;
  return mayUpdate(look, service, replica) ? generation : had;
}

/** What it waits for; empty: nothing. */
export function waitsFor(look: Look, { owner, spec }: ServiceRecord): string[] {
  return spec.dependsOn.filter((each) => !isMet(look, owner, each)).map(({ service }) => service);
}

function isMet(look: Look, owner: string, { service, condition }: ServiceSpec['dependsOn'][number]): boolean {
  const on = look(serviceKey(owner, service)) as ServiceRecord | undefined;
  if (on === undefined || on.removed) return false;
  for (let replica = 0; replica < on.replicas; replica++) {
    const each = instanceOf(look, owner, service, replica);
    if (each === undefined) return false;
    const completed = each.state === 'ended' && each.code === 0;
    const healthy = each.state === 'healthy';
    const met = { completed, healthy, started: healthy || completed || each.state === 'running' }[condition];
    if (!met) return false;
  }
  return true;
}

/** Where it may run, the best first: fewest of its own kind, then fewest of all. @param has how many a node has of a service, or all */
export function nodesFor(
  { spec, owner, name }: ServiceRecord,
  nodes: readonly string[],
  has: (node: string, of?: string) => number,
): string[] {
  const kind = serviceKey(owner, name);
  return nodes
    .filter((node) => spec.nodes.length === 0 || spec.nodes.includes(node))
    .filter((node) => spec.maxPerNode === 0 || has(node, kind) < spec.maxPerNode)
    .sort((a, b) => has(a, kind) - has(b, kind) || has(a) - has(b) || (a < b ? -1 : 1));
}

/** What a change has to keep: what replicas still run, and what was wanted last. */
export function previousOf(look: Look, before: ServiceRecord): ServiceRecord['previous'] {
  const { owner, name, generation, spec, previous } = before;
  const run = new Set<number>();
  for (let replica = 0; replica < REPLICAS_MAX; replica++) {
    const each = instanceOf(look, owner, name, replica);
    if (each !== undefined) run.add(each.generation);
  }
  return [...previous.filter((each) => run.has(each.generation)), { generation, spec }];
}
