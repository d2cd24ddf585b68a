// What each command prints with --json.
import { z } from 'zod';
import * as cluster from './cluster.ts';
import * as dataspace from './dataspace.ts';
import { event } from './event.ts';
import * as machine from './machine.ts';
import * as person from './person.ts';
import * as process from './process.ts';
import * as service from './service.ts';
import * as snapshot from './snapshot.ts';
import * as syslink from './syslink.ts';
import * as vkernel from './vkernel.ts';

export interface Answer {
  /** Of one document. */
  readonly schema: z.ZodType;
  /** Not one document, but one a line. */
  readonly lines?: true;
}

const one = (schema: z.ZodType): Answer => ({ schema });
const list = (schema: z.ZodType): Answer => ({ schema: z.array(schema) });

/** By the words of the command, in the order of its help. */
export const ANSWERS: Readonly<Record<string, Answer>> = {
  up: one(cluster.up),
  down: one(cluster.down),
  join: one(machine.joined),
  'node ls': list(machine.node),
  'node drain': one(machine.changed),
  'node resume': one(machine.changed),
  'node rm': one(machine.removed),
  'node token add': one(machine.newToken),
  'node token ls': list(machine.token),
  'node token rm': list(machine.tokenRemoved),
  status: one(cluster.status),
  top: one(cluster.top),
  console: one(cluster.console),
  events: list(event),
  restart: list(cluster.restarted),
  doctor: one(cluster.doctor),
  run: one(process.started),
  exec: one(process.started),
  cp: one(process.copied),
  allow: list(cluster.allowedFolder),
  disallow: list(cluster.allowedFolder),
  ps: list(process.process),
  kill: list(process.signalled),
  wait: list(process.ended),
  logs: { schema: process.output, lines: true },
  'ds ls': list(dataspace.dataspace),
  'ds create': one(dataspace.dataspace),
  'ds load': one(dataspace.loaded),
  'ds save': one(dataspace.saved),
  'ds export': one(dataspace.exported),
  'ds import': list(dataspace.imported),
  'ds hot': list(dataspace.hotPage),
  'ds stat': one(dataspace.dataspaceStat),
  'ds sync': one(dataspace.pagesOf),
  'ds accept-loss': one(dataspace.pagesOf),
  'ds rm': list(dataspace.removed),
  'ds chmod': list(dataspace.dataspaceRecord),
  'ds chown': list(dataspace.dataspaceRecord),
  'snapshot take': one(snapshot.taken),
  'snapshot ls': list(snapshot.snapshot),
  'snapshot rm': list(snapshot.removed),
  'vkernel ls': list(vkernel.vkernel),
  'vkernel create': list(z.union([vkernel.vkernel, vkernel.lodging])),
  'vkernel set': list(z.union([vkernel.vkernel, vkernel.lodging])),
  'vkernel halt': list(vkernel.halted),
  'vkernel rm': list(vkernel.removed),
  apply: list(service.applied),
  'service ls': list(service.service),
  'service logs': { schema: service.output, lines: true },
  'service rollout': one(service.service),
  'service scale': one(service.scaled),
  'service rm': list(service.removed),
  'pmap flush': list(process.flushed),
  'route ls': list(syslink.route),
  'name ls': list(syslink.name),
  'gateway ls': list(syslink.peer),
  'gateway add': one(syslink.gatewayAdded),
  'gateway rm': one(syslink.gatewayRemoved),
  'user add': one(person.added),
  'user ls': list(person.person),
  'user rm': one(person.putOut),
  whoami: one(person.whoami),
  'context add': one(person.context),
  'context ls': list(person.context),
  'context use': one(person.contextUsed),
  'context rm': one(person.contextRemoved),
  token: one(person.token),
};

/** Of one line of `events -f`. */
export const EVENT_LINE = event;

/** Print files, or what a program shows, and no answers: they have no --json. */
export const WITHOUT: ReadonlySet<string> = new Set([
  'attach',
  'login',
  'completion',
  'man',
  'schema',
  'gateway serve',
]);

/** In the form of json-schema.org. */
export const jsonSchemaOf = (words: string): object => z.toJSONSchema(ANSWERS[words]!.schema);
