// What a service does as a whole, in a word, and how far a rollout is.
import type { Service } from '@odonata/proto/service/v1/service';

export type ServiceState = 'ready' | 'waits' | 'rolls out' | 'failed' | 'goes';

const isWell = (each: Service['instances'][number]): boolean =>
  each.state === 'healthy' || each.state === 'ended';

/** Those that run what is wanted now, and well. */
export const wellOf = ({ instances, generation, replicas }: Service): number =>
  instances.filter((each) => each.replica < replicas && each.generation === generation && isWell(each))
    .length;

export function stateOf(service: Service): ServiceState {
  const { instances, generation, replicas, removed } = service;
  if (removed) return 'goes';
  if (failedOf(service) !== undefined) return 'failed';
  if (wellOf(service) === replicas && instances.length === replicas) return 'ready';
  return instances.some((each) => each.generation !== generation) ? 'rolls out' : 'waits';
}

/** One that is not started again. */
export const failedOf = ({ instances, generation }: Service): Service['instances'][number] | undefined =>
  instances.find((each) => each.state === 'failed' && each.generation === generation);

/** What is wrong with those that are not well. */
export const troublesOf = ({ instances, generation }: Service): string[] =>
  instances
    .filter((each) => each.generation === generation && !isWell(each) && each.reason !== '')
    .map((each) => `replica ${each.replica} ${each.state}: ${each.reason}`);

/** What it waits for, and why that waits, down to what does not run. */
export function waitsOf(service: Service, all: readonly Service[], seen: readonly string[] = []): string {
  const each = service.waitsFor.map((name) => {
    const on = all.find((other) => other.name === name && other.user === service.user);
    if (on === undefined || on.removed) return `${name} (there is no such service)`;
    const [trouble] = troublesOf(on);
    if (trouble !== undefined) return `${name} (${trouble})`;
    if (on.waitsFor.length > 0 && !seen.includes(name))
      return `${name} (${waitsOf(on, all, [...seen, name])})`;
    return `${name} (${wellOf(on)} of ${on.replicas} ready)`;
  });
  return `waits for ${each.join(', ')}`;
}

/** `4 replicas have no node: …` */
export function unplacedText({ unplaced }: Pick<Service, 'unplaced'>): string | undefined {
  if (unplaced === undefined) return undefined;
  const { replicas, why } = unplaced;
  return `${replicas} ${replicas === 1 ? 'replica has' : 'replicas have'} no node: ${why}`;
}

export const plainService = (service: Service) => {
  const { name, user, program, generation, replicas, waitsFor, unplaced } = service;
  return {
    ...{ name, user, program, generation, replicas, state: stateOf(service), waitsFor },
    ...(unplaced !== undefined && { unplaced: { replicas: unplaced.replicas, why: unplaced.why } }),
    instances: service.instances.map((each) => ({
      ...{ replica: each.replica, node: each.node, vkernel: each.vkernel, state: each.state, pid: each.pid },
      lastPid: each.lastPid,
      ...{ generation: each.generation, restarts: each.restarts, moves: each.moves },
      ...{ code: each.code, reason: each.reason },
    })),
  };
};
