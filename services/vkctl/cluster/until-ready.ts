// The wait until every part of a cluster that starts answers.

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '@odonata/client/cluster.ts';
import { credentialHere } from '@odonata/client/local/identity-folder.ts';
import { attachTo } from '../connection.ts';
import { EXIT, Failure } from '../failure.ts';
import { readMembership } from '../machine/membership.ts';
import { memberWaits } from '../machine/ready.ts';
import { clusterFlag } from './cluster-flag.ts';
import { type Identity, isAlive } from './identity.ts';
import { lastLine, readIfThere } from './log-line.ts';
import type { ClusterPaths } from './paths.ts';
import { type ClusterRecord, isRouter, readRecord, type ServiceRecord } from './record.ts';

/** A service that ended this often before the cluster was up will not make it. */
const HOPELESS_RESTARTS = 5;

export interface StartProgress {
  ready: number;
  total: number;
  waitingFor: string[];
}

export interface ReadyOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
  onProgress?: (progress: StartProgress) => void;
}

/** Every service is connected, and every node has the directory. @throws Failure why it will not be so */
export async function untilReady(
  paths: ClusterPaths,
  supervisor: Identity,
  { timeoutMs = 60_000, signal, onProgress }: ReadyOptions,
): Promise<ClusterRecord> {
  const endMs = Date.now() + timeoutMs;
  const routers = new Map<string, Cluster>();
  let waitingFor: string[] = ['supervisor'];
  try {
    for (;;) {
      if (signal?.aborted) throw new Failure('interrupted', { exitCode: 130 });
      const record = readRecord(paths.clusterFile);
      if (!isAlive(supervisor) || record?.stopping) throw whyEnded(paths);
      if (record) {
        for (const service of record.services) expectUsable(service);
        const hopeless = record.services.find((s) => s.restarts >= HOPELESS_RESTARTS || s.state === 'failed');
        if (hopeless) throw new Failure(`${hopeless.name} does not start: ${whyNot(hopeless)}`);
        if (record.plan.member === undefined) {
          await connectToRouters(record, routers);
          waitingFor = await servicesNotReady(record, routers);
        } else waitingFor = await memberWaits(record);
        onProgress?.({
          ready: record.services.length - waitingFor.length,
          total: record.services.length,
          waitingFor,
        });
        if (waitingFor.length === 0) return record;
        if (Date.now() > endMs) throw tooLate(record, waitingFor, timeoutMs);
      }
      await sleep(60);
    }
  } finally {
    for (const router of routers.values()) router.close();
  }
}

/** It leaves no log where it was told to end: then it has removed its folders, or was ended before it had any line. */
function whyEnded(paths: ClusterPaths): Failure {
  // Its supervisor may hear of that before we do.
  if (readMembership(paths)?.removed === true)
    return new Failure('this machine was removed from its cluster', {
      fix: `To clear what is left of it here: vkctl down --purge${clusterFlag(paths.cluster)}`,
    });
  const log = join(paths.logDir, 'supervisor.log');
  const said = readIfThere(log).trim();
  if (said !== '' && !said.includes('"going down"')) {
    return new Failure(`the supervisor ended at once: ${lastLine(log)}`, { fix: 'See: vkctl doctor.' });
  }
  return new Failure(`cluster "${paths.cluster}" was ended while it started, by "vkctl down" or a signal`);
}

/** Adds a connection to each router that answers, by its name. */
export async function connectToRouters(record: ClusterRecord, routers: Map<string, Cluster>): Promise<void> {
  const missing = record.services.filter((service) => isRouter(service) && !routers.has(service.name));
  if (missing.length === 0) return;
  const credential = credentialHere(record.plan);
  await Promise.all(
    missing.map(async ({ name, address, socket = address }) => {
      const router = await attachTo(record.plan.cluster, socket, 300, credential).catch(() => undefined);
      if (router !== undefined) routers.set(name, router);
    }),
  );
}

/** Names of services that do not answer yet, or that some router does not have yet. */
export async function servicesNotReady(
  record: ClusterRecord,
  routers: ReadonlyMap<string, Cluster>,
): Promise<string[]> {
  const names = record.services.map((service) => service.name);
  const [router] = routers.values();
  if (router === undefined) return names;
  const { connection } = router;
  const lists = await Promise.all(
    [...routers.values()].map(({ connection }) => connection.listEndpoints().catch(() => [])),
  );
  const sets = lists.map((endpoints) => new Set(endpoints.filter((e) => e.connected).map((e) => e.name)));
  const waiting = record.services
    .filter((service) => {
      if (service.name === 'nats') return false;
      if (isRouter(service)) return !routers.has(service.name);
      return !sets.every((connected) => connected.has(service.name));
    })
    .map(({ name }) => name);
  if (waiting.length > 0) return waiting;
  const nodes = await Promise.all(
    record.plan.nodes.map(async ({ name }) => {
      const stats = await connection
        .pmapd(name)
        .getNodeStats({}, { deadlineMs: 2000 })
        .catch(() => undefined);
      return stats?.directoryConnected ? [] : [`${name}/pmapd`];
    }),
  );
  return nodes.flat();
}

function tooLate(record: ClusterRecord, waitingFor: string[], timeoutMs: number): Failure {
  const first = record.services.find(({ name }) => name === waitingFor[0]);
  const why = first ? ` ${first.name}: ${whyNot(first)}` : '';
  return new Failure(
    `cluster "${record.plan.cluster}" is not ready after ${timeoutMs / 1000} s; ` +
      `waiting for ${waitingFor.join(', ')}.${why}`,
    { fix: 'Check the machine with: vkctl doctor.' },
  );
}

/** Options of `up` that go to services as they are, and what a service says of one that it cannot use. */
const REFUSED_OPTION = /^vkerneld: (--allow-(?:listen|connect): .*) \(see vkerneld --help\)$/;
const REFUSED_EXIT = 'exit 2';

/** @throws Failure where it will never start with what was given */
function expectUsable({ lastEnd, logFile }: ServiceRecord): void {
  const refused = lastEnd === REFUSED_EXIT ? REFUSED_OPTION.exec(lastLine(logFile))?.[1] : undefined;
  if (refused !== undefined) throw new Failure(refused, { exitCode: EXIT.usage });
}

const whyNot = (service: ServiceRecord): string =>
  `${service.lastEnd ? `${service.lastEnd}, ` : ''}last line of its log: ${lastLine(service.logFile)}`;
