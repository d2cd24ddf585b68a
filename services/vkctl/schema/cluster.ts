// Of a cluster and the machine that it is on.
import { z } from 'zod';
import { newToken } from './machine.ts';
import { byName, count, epochMs, pid, time, wire } from './terms.ts';
import { names, quota } from './vkernel.ts';

const service = z.strictObject({
  name: z.string(),
  node: z.string().optional(),
  address: z.string().optional().describe('host:port'),
  socket: z.string().optional().describe('unix:/path'),
  state: z.enum(['running', 'waiting', 'failed', 'stopped', 'gone', 'drained']),
  process: z
    .strictObject({ pid: count, startTicks: z.string(), bootId: z.string() })
    .optional()
    .describe('of the host'),
  restarts: count.optional(),
  sinceMs: epochMs.optional(),
  lastEnd: z.string().optional(),
  notReplaced: count.optional(),
  logFile: z.string().optional(),
  connected: z.boolean().optional().describe('to every router'),
});

const fault = z.strictObject({ count, p50Us: z.number(), p99Us: z.number() });

const pageout = z.strictObject({
  activePages: count,
  inactivePages: count,
  activations: count,
  pageouts: count,
  droppedPages: count,
  swapIns: count,
  refaults: count,
  swapUsedBytes: count,
  swapBytes: count,
});

const pool = z.strictObject({
  givenPages: count.describe('of dataspaces, that neighbours took since this node was short of frames'),
  sparedPages: count.describe('copies that it could do without'),
  offersRefused: count,
  leavingPages: count,
  neighbourPages: count.describe('private pages that are at neighbours'),
  neighbourOuts: count,
  neighbourIns: count,
  lodgedPages: count.describe('private pages of other nodes that are here'),
  givenBack: count,
});

const nodeStats = z.strictObject({
  node: z.string(),
  framesTotal: count.describe('pages'),
  cores: z.number().describe('processors; 0: not known'),
  framesPrivate: count,
  pagesShared: count,
  faults: byName(fault).describe('by who served them: vkernel, node, remote, upgrade'),
  pagesIn: count,
  pagesOut: count,
  invalidations: count,
  vmspaces: count,
  handmadeVmspaces: count.describe('that people made by hand'),
  loopDelayMs: z.number().describe('0: not asked for, as the next two'),
  heapBytes: count,
  residentBytes: count,
  vkernels: z.array(z.string()),
  directoryConnected: z.boolean(),
  nodeIndex: count,
  takeOverMs: count,
  pmapFlushes: count.describe('page tables that were emptied'),
  faultsWaiting: count,
  transferWaitingBytes: count.describe('of pages that are to be sent'),
  transferInFlightBytes: count.describe('sent, and not answered'),
  wire: wire.optional(),
  pageout: pageout.optional().describe('where the node has swap'),
  pool: pool.optional().describe('where memory went to other nodes, or came from there'),
});

const vkernel = z.strictObject({
  name: z.string(),
  node: z.string(),
  hostPid: count,
  processes: count,
  startedAt: time.optional(),
  user: z.string(),
  memoryBytes: count.describe('of its processes, in frames and in swap'),
  cpuMs: count,
  cpuMillis: count.describe('thousandths of a processor, in the last seconds'),
  throttledMs: count,
  dataspaces: count,
  diskBytes: count.describe('its home, where that is bounded'),
  descriptors: count.describe('open, of all of its processes'),
  connections: count.describe('by names, of its processes'),
  names: names.optional().describe('that it may use besides those of its user; missing: nobody said'),
  quota: quota.optional().describe('missing: nobody said'),
});

const directory = z.strictObject({
  epoch: count,
  acquires: count,
  grants: count,
  recalls: count,
  invalidations: count,
  resends: count,
  holders: z.array(z.string()),
  dataspaces: count,
  rebuilding: z.boolean(),
  pagesChanging: count,
  eventsParked: count.describe('wait for what is to be known first'),
  replica: z.string(),
  shardsLed: z.array(count),
  shards: count,
  replicas: byName(z.string()).describe('addresses by name'),
  wire: wire.optional(),
});

const loss = z.strictObject({
  name: z.string(),
  durable: z.boolean(),
  lostPages: count,
  storedPages: count,
  unknownPages: count,
});

export const status = z.strictObject({
  cluster: z.string(),
  syslink: z.string().describe('routers, host:port with commas between'),
  by: z.string().optional().describe('of a cluster elsewhere: what names it'),
  tlsDir: z.string().optional(),
  supervisor: count.optional().describe('its pid on the host'),
  startedMs: epochMs.optional(),
  services: z.array(service),
  nodes: z.array(
    z.strictObject({
      name: z.string(),
      stats: nodeStats.optional().describe('missing: its pmapd does not answer'),
      vkernels: z.array(vkernel).optional().describe('missing: its vkerneld does not answer'),
      missingLayers: z.array(z.string()),
    }),
  ),
  directory: z.array(directory),
  losses: z.array(loss),
  troubles: z.array(z.string()).describe('what is not well, a line each'),
});

export const up = z.strictObject({
  cluster: z.string(),
  syslink: z.string(),
  tlsDir: z.string().optional(),
  supervisor: count,
  startedMs: epochMs,
  nodes: z.array(z.strictObject({ name: z.string(), index: count })),
  services: z.array(service),
  insecure: z.boolean(),
  hadStore: z.boolean().describe('goes on with the store of an earlier run'),
  allowUnconfined: z.array(z.string()),
  notes: z.array(z.string()),
  join: newToken.optional().describe('with --address: the first token'),
});

export const down = z.strictObject({
  cluster: z.string(),
  outcome: z.enum(['stopped', 'cleared', 'nothing']).describe('cleared: what a dead one left'),
  keptBytes: count.describe('of the backing store, for the next up'),
  keptPeople: z.boolean(),
});

export const restarted = z.strictObject({
  name: z.string(),
  tookMs: count,
  lost: z.string().optional().describe('pages that were lost meanwhile'),
});

export const doctor = z.strictObject({
  ok: z.boolean(),
  checks: z.array(
    z.strictObject({
      ...{ name: z.string(), ok: z.boolean(), warning: z.literal(true).optional() },
      ...{ detail: z.string(), fix: z.string().optional() },
    }),
  ),
});

const topNode = z.strictObject({
  name: z.string(),
  answers: z.boolean(),
  framesTotal: count,
  framesPrivate: count,
  pagesShared: count,
  pagesInPerS: z.number(),
  pagesOutPerS: z.number(),
  invalidationsPerS: z.number(),
  faults: byName(z.strictObject({ perS: z.number(), p50Us: z.number(), p99Us: z.number() })),
  vkernels: count,
  processes: count,
  waiting: count.describe('faults that have waited for seconds'),
});

export const console = z.strictObject({
  cluster: z.string(),
  url: z.string().describe('where it is'),
  address: z.string().describe('the same with a token: whoever opens it first is you there'),
});

export const top = z.strictObject({
  cluster: z.string(),
  time,
  overMs: count.describe('rates are of so long'),
  nodes: z.array(topNode),
  directory: z.array(
    z.strictObject({
      replica: z.string(),
      acquiresPerS: z.number(),
      grantsPerS: z.number(),
      recallsPerS: z.number(),
      invalidationsPerS: z.number(),
      resendsPerS: z.number(),
    }),
  ),
  processes: z.array(
    z.strictObject({
      pid,
      node: z.string(),
      vkernel: z.string(),
      user: z.string(),
      state: z.string(),
      command: z.array(z.string()),
      cpuPercent: z.number(),
      residentPages: count,
      sharedPages: count,
      waits: count,
    }),
  ),
  vkernels: z.array(
    z.strictObject({
      name: z.string(),
      node: z.string(),
      user: z.string(),
      processes: count,
      hostPid: count,
    }),
  ),
  queues: z.array(
    z.strictObject({
      name: z
        .string()
        .describe('a node, a replica of the directory, or clients: all that are attached to the router'),
      faults: count.describe('faults that wait for a page'),
      outBytes: count.describe('pages that wait to be sent to other nodes'),
      inFlightBytes: count.describe('pages on their way there'),
      changing: count.describe('pages that go from one holder to another'),
      parked: count.describe('events that wait until a shard knows what all holders have'),
      unreadBytes: count.describe('what waits at the router, since it was not read yet'),
    }),
  ),
  dataspaces: z
    .array(
      z.strictObject({
        name: z.string(),
        owner: z.string(),
        sizeBytes: count,
        movedPerS: z.number().describe('pages that changed their owner'),
        ownedPages: byName(count),
        mappedBy: z.array(z.string()),
        locks: count,
        lostPages: count,
      }),
    )
    .describe('the hottest first'),
  silent: z.array(z.string()).describe('who does not answer, a line each'),
});

export const allowedFolder = z.strictObject({
  node: z.string(),
  path: z.string(),
  readOnly: z.boolean(),
  away: z.literal(true).optional().describe('the node rests or is away, and takes it when it is back'),
});
