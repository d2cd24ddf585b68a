// cluster.json: what a supervisor tells about its cluster. It alone writes it, on every change, whole. What clients read of
// it is in libs/client.
import { renameSync, writeFileSync } from 'node:fs';
import { readRecordAs, runningSchema } from '@odonata/client/local/record.ts';
import { LOG_LEVELS } from '@odonata/rpc/silent-log.ts';
import { LAYERS } from '@odonata/userfault/sandbox/layer-names.ts';
import { z } from 'zod';
import { identitySchema } from './identity.ts';

export { isRouter } from '@odonata/client/local/record.ts';

const serviceSchema = z.object({
  /** As in `node2/pmapd`; also the endpoint's name at the router, where it has one. */
  name: z.string(),
  node: z.string().optional(),
  /** Where it listens, host:port. */
  address: z.string(),
  /** Where it listens besides, for this machine: `unix:/path`. */
  socket: z.string().optional(),
  /**
   * running: its process lives; waiting: it ended and starts again soon; failed: given up after too many
   * short lives; stopped: ended because the cluster goes down.
   */
  state: z.enum(['running', 'waiting', 'failed', 'stopped']),
  process: identitySchema.optional(),
  /** How often it was started again after it had ended by itself. */
  restarts: z.number().int(),
  /** When it got into this state, milliseconds since 1970. */
  sinceMs: z.number(),
  /** Of what was asked for by a name: that. */
  asked: z.string().optional(),
  /** How its last life ended: `exit 70`, `SIGKILL`. */
  lastEnd: z.string().optional(),
  /** How often another process of it was to take its place, and did not. */
  notReplaced: z.number().int().optional(),
  logFile: z.string(),
});
export type ServiceRecord = z.infer<typeof serviceSchema>;

const memberSchema = z.object({
  /** As it is called where it began. */
  cluster: z.string(),
  node: z.string(),
  /** Addresses there, host:port. */
  door: z.string(),
  routers: z.string(),
  nats: z.string(),
  directories: z.array(z.string()),
});

export const planSchema = z.object({
  cluster: z.string(),
  stateDir: z.string(),
  runtimeDir: z.string(),
  memoryDir: z.string(),
  nodes: z.array(z.object({ name: z.string(), index: z.number().int().positive() })),
  ports: z.object({
    /** Of the routers. */
    syslinkd: z.array(z.number()),
    nats: z.number(),
    /** Of the replicas of the directory. */
    cohd: z.array(z.number()),
    /** Where other machines join; absent: none can. */
    door: z.number().optional(),
    pmapd: z.array(z.number()),
    vkerneld: z.array(z.number()),
  }),
  /** By which other machines reach its services; absent: they do not. */
  host: z.string().optional(),
  /** What they listen on then; absent: the same. */
  listenHost: z.string().optional(),
  /** It is a node of a cluster that began on another machine, where its routers and directory are; absent: it is whole. */
  member: memberSchema.optional(),
  allowDirs: z.array(z.string()),
  allowListen: z.array(z.string()).optional(),
  allowConnect: z.array(z.string()).optional(),
  /** Frames of each node in bytes; absent: pmapd's own default. */
  framesBytes: z.number().optional(),
  /** Swap of each node in bytes, and the folder of its file; absent: none. */
  swapBytes: z.number().optional(),
  swapDir: z.string().optional(),
  /** Layers of confinement that virtual kernels may do without. */
  allowUnconfined: z.array(z.enum(LAYERS)).optional(),
  /** The first uid of virtual kernels of the first node; 64 a node. */
  vkernelUids: z.number().optional(),
  /** Virtual kernels are without these although the machine has them: to measure what they cost. */
  unconfined: z.boolean().optional(),
  leaseMs: z.number().optional(),
  userDataspaces: z.number().optional(),
  /** Vmspaces made by hand that a node may have, also of one user; absent: pmapd's own defaults. */
  nodeVmspaces: z.number().optional(),
  /** How long nothing runs in a virtual kernel until it is parked; absent: vkerneld's own default. */
  parkAfterMs: z.number().optional(),
  /** What the backing store may hold, in bytes; absent: as it was when it was made. */
  storeBytes: z.number().optional(),
  /** There was a store of an earlier life of the cluster, which goes on with it. */
  hadStore: z.boolean().optional(),
  /** The collector of traces, and the part of what begins that is traced; absent: nobody traces. */
  traceOtlp: z.string().optional(),
  traceSample: z.number().optional(),
  logLevel: z.enum(LOG_LEVELS),
  /** The folder of the services; absent: this checkout's. Read at each start of a service, so a link may be turned. */
  servicesDir: z.string().optional(),
  /** Everybody may do everything. */
  insecure: z.boolean().optional(),
  /** Services reach each other at host:port, as on several machines, and not at unix sockets. */
  overTcp: z.boolean().optional(),
  /** The cluster goes down when this process is gone: a demo or a test, killed however. Absent: nobody's. */
  owner: identitySchema.optional(),
});
/** What `up` decided, and the supervisor carries out. */
export type ClusterPlan = z.infer<typeof planSchema>;

const recordSchema = runningSchema.extend({
  plan: planSchema,
  services: z.array(serviceSchema),
  /** The supervisor understands a request to replace a service; absent: SIGUSR2 would end it. */
  replaces: z.boolean().optional(),
});
export type ClusterRecord = z.infer<typeof recordSchema>;

/** The record, or undefined when there is none (or none that this version can read). */
export const readRecord = (file: string): ClusterRecord | undefined => readRecordAs(file, recordSchema);

export function writeRecord(file: string, record: ClusterRecord): void {
  const temporary = `${file}.new`;
  writeFileSync(temporary, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, file);
}
