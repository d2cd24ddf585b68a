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

export const plainService = (service: Service) => {
  const { name, user, program, generation, replicas, waitsFor } = service;
  return {
    ...{ name, user, program, generation, replicas, state: stateOf(service), waitsFor },
    instances: service.instances.map((each) => ({
      ...{ replica: each.replica, node: each.node, vkernel: each.vkernel, state: each.state, pid: each.pid },
      ...{ generation: each.generation, restarts: each.restarts, moves: each.moves },
      ...{ code: each.code, reason: each.reason },
    })),
  };
};
