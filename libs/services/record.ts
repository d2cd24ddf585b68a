// What is kept of services, each record under a key of its own, changed by compare-and-set alone.
//
//     n/NODE                  the lease of a node: who renews it may run instances
//     s/OWNER/NAME            what somebody wants
//     i/OWNER/NAME/REPLICA    who has an instance: the node, and the epoch of its lease
//
// An instance whose node has another epoch by now is nobody's: that node does not run it any more.
import { z } from 'zod';

export const REPLICAS_MAX = 100;
/** Also those that are on their way out. */
export const SERVICES_OF_USER_MAX = 100;
/** Changes of a service that may be under way at one time. */
export const PREVIOUS_MAX = 5;

const count = z.number().int().min(0);
/** A module, by the SHA-256 of its bytes. */
const program = z.object({ name: z.string(), digest: z.string(), bytes: count });

export const specSchema = z.object({
  program,
  command: z.array(z.string()),
  environment: z.array(z.string()),
  dirs: z.array(z.object({ hostPath: z.string(), guestPath: z.string(), readOnly: z.boolean() })),
  listen: z.array(z.string()),
  connect: z.array(z.string()),
  /** Names. */
  listenOn: z.array(z.string()).default([]),
  /** 0: as of any virtual kernel. */
  quota: z.object({
    memoryBytes: count,
    cpuWeight: count,
    cpuMillis: count,
    processes: count,
    dataspaces: count,
    diskBytes: count.default(0),
    descriptors: count.default(0),
  }),
  restart: z.enum(['no', 'on-failure', 'always']),
  /** So often without a steady life between. */
  restartMax: count,
  restartDelayMs: count,
  restartDelayMaxMs: count,
  health: z
    .object({
      program,
      args: z.array(z.string()),
      intervalMs: count,
      timeoutMs: count,
      retries: count,
      startPeriodMs: count,
    })
    .optional(),
  dependsOn: z.array(
    z.object({ service: z.string(), condition: z.enum(['started', 'healthy', 'completed']) }),
  ),
  /** Empty: any. */
  nodes: z.array(z.string()),
  /** 0: any. */
  maxPerNode: count,
  stopGraceMs: count,
});
export type ServiceSpec = z.infer<typeof specSchema>;

const nodeSchema = z.object({
  kind: z.literal('node'),
  node: z.string(),
  epoch: count,
  /** Its lease is over: nothing runs there under an earlier epoch. */
  deposed: z.boolean(),
  beat: count,
});
const serviceSchema = z.object({
  kind: z.literal('service'),
  owner: z.string(),
  groups: z.array(z.string()),
  name: z.string(),
  /** Of what it is; each change of it is a greater one, also over a removal. */
  generation: count,
  spec: specSchema,
  /** What ran before, for replicas whose turn has not come; the newest last. */
  previous: z.array(z.object({ generation: count, spec: specSchema })).max(PREVIOUS_MAX),
  replicas: count,
  removed: z.boolean(),
});
export const STATES = ['starting', 'running', 'healthy', 'backoff', 'stopping', 'ended', 'failed'] as const;
const instanceSchema = z.object({
  kind: z.literal('instance'),
  owner: z.string(),
  service: z.string(),
  replica: count,
  /** Empty: over, and nobody's. */
  node: z.string(),
  epoch: count,
  generation: count,
  state: z.enum(STATES),
  pid: z.string(),
  /** Of its last life, where that ended badly: what it wrote tells why. */
  lastPid: z.string().default(''),
  restarts: count,
  code: z.number(),
  reason: z.string(),
  /** How often another node took it. */
  moves: count,
});
const recordSchema = z.discriminatedUnion('kind', [nodeSchema, serviceSchema, instanceSchema]);

export type NodeRecord = z.infer<typeof nodeSchema>;
export type ServiceRecord = z.infer<typeof serviceSchema>;
export type InstanceRecord = z.infer<typeof instanceSchema>;
export type StoredRecord = z.infer<typeof recordSchema>;

export const nodeKey = (node: string): string => `n/${node}`;
export const serviceKey = (owner: string, name: string): string => `s/${owner}/${name}`;
export const instanceKey = (owner: string, service: string, replica: number): string =>
  `i/${owner}/${service}/${replica}`;

export const recordText = (record: StoredRecord): string => JSON.stringify(record);

/** Undefined: of another form, and nobody of ours wrote it. */
export function recordOf(text: string): StoredRecord | undefined {
  try {
    return recordSchema.safeParse(JSON.parse(text)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
