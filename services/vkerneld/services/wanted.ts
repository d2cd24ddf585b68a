// A service as people say it, and as it is kept.
import {
  DependencyCondition,
  RestartPolicy,
  type ServiceSpec as SaidSpec,
} from '@odonata/proto/service/v1/service';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import { type Look, previousOf } from '@odonata/services/plan.ts';
import { PREVIOUS_MAX, type ServiceRecord, type ServiceSpec, serviceKey } from '@odonata/services/record.ts';

const RESTART = {
  [RestartPolicy.UNSPECIFIED]: 'no',
  [RestartPolicy.NO]: 'no',
  [RestartPolicy.ON_FAILURE]: 'on-failure',
  [RestartPolicy.ALWAYS]: 'always',
} as const;
const CONDITION = {
  [DependencyCondition.UNSPECIFIED]: 'started',
  [DependencyCondition.STARTED]: 'started',
  [DependencyCondition.HEALTHY]: 'healthy',
  [DependencyCondition.COMPLETED]: 'completed',
} as const;

const NAME = /^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$/;

/** @throws RpcError INVALID_ARGUMENT */
export function expectServiceName(field: string, name: string): void {
  if (!NAME.test(name))
    throw invalidField(field, `"${name}" is no name of a service: use 1 to 24 of a-z 0-9 -`);
}

export function specOf(said: SaidSpec): ServiceSpec {
  const { quota, health } = said;
  const programOf = ({ name, digest, bytes }: NonNullable<SaidSpec['program']>) => {
    return { name, digest, bytes: Number(bytes) };
  };
  return {
    program: programOf(said.program!),
    ...{ command: said.command, environment: said.environment, listen: said.listen, connect: said.connect },
    listenOn: said.listenOn,
    dirs: said.dirs.map(({ hostPath, guestPath, readOnly }) => ({ hostPath, guestPath, readOnly })),
    quota: {
      memoryBytes: Number(quota?.memoryBytes ?? 0n),
      cpuWeight: quota?.cpuWeight ?? 0,
      cpuMillis: quota?.cpuMillis ?? 0,
      processes: quota?.processes ?? 0,
      dataspaces: quota?.dataspaces ?? 0,
      diskBytes: Number(quota?.diskBytes ?? 0n),
      descriptors: quota?.descriptors ?? 0,
    },
    restart: RESTART[said.restart],
    ...{ restartMax: said.restartMax, restartDelayMs: said.restartDelayMs },
    restartDelayMaxMs: Math.max(said.restartDelayMs, said.restartDelayMaxMs),
    ...(health !== undefined && {
      health: {
        ...{ program: programOf(health.program!), args: health.args, intervalMs: health.intervalMs },
        ...{ timeoutMs: health.timeoutMs, retries: health.retries, startPeriodMs: health.startPeriodMs },
      },
    }),
    dependsOn: said.dependsOn.map(({ service, condition }) => ({ service, condition: CONDITION[condition] })),
    ...{ nodes: said.nodes, maxPerNode: said.maxPerNode, stopGraceMs: said.stopGraceMs },
  };
}

/** @throws RpcError INVALID_ARGUMENT where services would wait for each other for ever */
export function expectNoCircle(look: Look, owner: string, name: string, spec: ServiceSpec): void {
  const seen = new Map<string, string>();
  const ahead = [name];
  for (let at = ahead.shift(); at !== undefined; at = ahead.shift()) {
    const { dependsOn } =
      at === name
        ? spec
        : ((look(serviceKey(owner, at)) as ServiceRecord | undefined)?.spec ?? { dependsOn: [] });
    for (const { service } of dependsOn) {
      if (service === name)
        throw invalidField(
          'spec.depends_on',
          `${name} would wait for itself: ${[name, ...wayTo(seen, at, name), name].join(' -> ')}`,
        );
      if (seen.has(service)) continue;
      seen.set(service, at);
      ahead.push(service);
    }
  }
}

function wayTo(seen: ReadonlyMap<string, string>, end: string, begin: string): string[] {
  const way: string[] = [];
  for (let at: string | undefined = end; at !== undefined && at !== begin; at = seen.get(at)) way.unshift(at);
  return way;
}

/** What it is from now on; the same object where nothing changes. @throws RpcError FAILED_PRECONDITION */
export function changed(
  look: Look,
  before: ServiceRecord | undefined,
  to: {
    owner: string;
    groups: readonly string[];
    name: string;
    spec: ServiceSpec;
    replicas: number | undefined;
  },
  nowMs: number,
): ServiceRecord {
  const { owner, name, spec } = to;
  const groups = [...to.groups];
  const replicas = to.replicas ?? before?.replicas ?? 1;
  if (before === undefined)
    return {
      ...{ kind: 'service', owner, groups, name, generation: nowMs, spec },
      ...{ previous: [], replicas, removed: false },
    };
  const isSame = JSON.stringify(before.spec) === JSON.stringify(spec) && !before.removed;
  if (isSame) return replicas === before.replicas ? before : { ...before, replicas };
  return anew(look, { ...before, groups, replicas, removed: false }, spec, nowMs);
}

/** A generation more: its replicas are replaced. @throws RpcError FAILED_PRECONDITION */
export function anew(look: Look, before: ServiceRecord, spec: ServiceSpec, nowMs: number): ServiceRecord {
  const previous = previousOf(look, before);
  if (previous.length > PREVIOUS_MAX)
    throw new RpcError(
      Code.FailedPrecondition,
      `${PREVIOUS_MAX} changes of service ${before.name} are under way: let one end (vkctl service rollout ${before.name}), or remove it`,
    );
  return { ...before, generation: Math.max(nowMs, before.generation + 1), spec, previous };
}
