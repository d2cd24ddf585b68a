// What a service's file wants, as the cluster is told it: its programs are read, and paths are those of the file's folder.
import { dirname, isAbsolute, resolve } from 'node:path';
import { PROGRAM_BYTES_MAX, type ServiceSpec } from '@odonata/client/services.ts';
import { DependencyCondition, RestartPolicy } from '@odonata/proto/service/v1/service';
import { EXIT, Failure } from '../failure.ts';
import { type ProgramFile, readProgram } from '../program-file.ts';
import type { ServiceForm } from './form.ts';

const RESTART = {
  no: RestartPolicy.NO,
  'on-failure': RestartPolicy.ON_FAILURE,
  always: RestartPolicy.ALWAYS,
} as const;
const CONDITION = {
  service_started: DependencyCondition.STARTED,
  service_healthy: DependencyCondition.HEALTHY,
  service_completed_successfully: DependencyCondition.COMPLETED,
} as const;

type Put = (program: ProgramFile) => Promise<{ name: string; digest: string; bytes: bigint }>;

/** @param file which one it is; `-`: paths are those of the working directory @throws Failure */
export function programsOf(form: ServiceForm, file: string): { program: ProgramFile; health?: ProgramFile } {
  const base = baseOf(file);
  const read = (path: string): ProgramFile => {
    const program = readProgram(resolve(base, path));
    if (program.module.length <= PROGRAM_BYTES_MAX) return program;
    throw new Failure(`${path} is larger than 64 MiB, which is the most of a service`, {
      exitCode: EXIT.usage,
    });
  };
  const program = read(form.program);
  return form.healthcheck === undefined ? { program } : { program, health: read(form.healthcheck.test[0]!) };
}

export async function specOf(
  form: ServiceForm,
  file: string,
  { program, health }: { program: ProgramFile; health?: ProgramFile },
  put: Put,
): Promise<ServiceSpec> {
  const { resources, healthcheck } = form;
  const spec: ServiceSpec = {
    program: await put(program),
    ...{ command: form.command, environment: form.environment, listen: form.listen, connect: form.connect },
    listenOn: form.listen_on,
    dirs: form.volumes.map((each) => ({ ...each, hostPath: pathIn(file, each.hostPath) })),
    quota: {
      memoryBytes: BigInt(resources.memory ?? 0),
      ...{ cpuWeight: resources.cpu_weight ?? 0, cpuMillis: Math.round((resources.cpus ?? 0) * 1000) },
      ...{ processes: resources.processes ?? 0, dataspaces: resources.dataspaces ?? 0 },
      ...{ diskBytes: BigInt(resources.disk ?? 0), descriptors: resources.descriptors ?? 0 },
    },
    ...{ restart: RESTART[form.restart.policy], restartMax: form.restart.max },
    ...{ restartDelayMs: form.restart_delay, restartDelayMaxMs: form.restart_max_delay },
    dependsOn: form.depends_on.map(({ service, condition }) => ({
      service,
      condition: CONDITION[condition],
    })),
    ...{ nodes: form.placement.nodes, maxPerNode: form.placement.max_replicas_per_node },
    stopGraceMs: form.stop_grace_period,
  };
  if (healthcheck === undefined || health === undefined) return spec;
  return {
    ...spec,
    health: {
      ...{ program: await put(health), args: healthcheck.test.slice(1), intervalMs: healthcheck.interval },
      ...{ timeoutMs: healthcheck.timeout, retries: healthcheck.retries },
      startPeriodMs: healthcheck.start_period,
    },
  };
}

const baseOf = (file: string): string => (file === '-' ? process.cwd() : dirname(resolve(file)));
const pathIn = (file: string, path: string): string =>
  isAbsolute(path) ? path : resolve(baseOf(file), path);
