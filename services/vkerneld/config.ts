import { address, serviceConfig, syslinkAddresses } from '@odonata/rpc/config.ts';
import { isVkernelBase, VKERNEL_BASES } from '@odonata/rpc/vkernel-uids.ts';
import { LAYERS } from '@odonata/userfault/sandbox/layer-names.ts';
import { z } from 'zod';
import { isConnectRule } from './allowed-connections.ts';
import { isListenRule } from './allowed-listeners.ts';

/** A program reaches no more: 32-bit addresses. */
const PROGRAM_MEMORY_MAX = 2 ** 32;

/** A virtual kernel says every second what would be lost with it. */
const PARK_MIN_MS = 3_000;

/** Flags and environment of vkerneld. */
export const vkerneldConfig = {
  node: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'use 1 to 63 of a-z 0-9 . -')
    .describe('name of this node, unique in the cluster'),
  nodeIndex: z
    .number()
    .int()
    .min(0)
    .max(99_999)
    .describe(
      "number of this node, unique in the cluster; its pids start at 100,000 times that; 0: ask the node's pmapd",
    ),
  listen: address().default('127.0.0.1:7441').describe('address to serve on, host:port'),
  socketDir: z.string().describe("directory of the node's sockets, shared with pmapd"),
  pmapdDir: z
    .string()
    .default('')
    .describe("where pmapd is another user's, as in pods: its vkernel_dir; empty: all is in socket_dir"),
  syslink: syslinkAddresses(),
  allowDir: z
    .array(z.string().startsWith('/', 'use absolute paths'))
    .default([])
    .describe('directories of the host that programs may be given, with all below'),
  homeDir: z
    .string()
    .refine((path) => path === '' || path.startsWith('/'), 'use an absolute path')
    .default('')
    .describe('where programs of each person have their home, a folder each; empty: they have none'),
  programsDir: z
    .string()
    .refine((path) => path === '' || path.startsWith('/'), 'use an absolute path')
    .default('')
    .describe('the programs that every program has at /bin, where there are homes; empty: none'),
  hideDir: z
    .array(z.string().startsWith('/', 'use absolute paths'))
    .default([])
    .describe(
      'directories of the host that no program gets, also where they are below an allowed one; with * at the end all that begin so',
    ),
  allowListen: z
    .array(z.string().refine(isListenRule, 'use PORT, ADDRESS:PORT or [ADDRESS]:PORT, a PORT or FIRST-LAST'))
    .default([])
    .describe('where programs may listen: ADDRESS:PORT, or PORT of 127.0.0.1; FIRST-LAST for several ports'),
  allowConnect: z
    .array(
      z
        .string()
        .refine(isConnectRule, 'use HOST:PORT, ADDRESS/BITS:PORT or [ADDRESS]:PORT, a PORT or FIRST-LAST'),
    )
    .default([])
    .describe(
      'where programs may connect to: HOST:PORT, ADDRESS/BITS:PORT for a subnet, or PORT of 127.0.0.1; FIRST-LAST for several ports',
    ),
  allowUnconfined: z
    .array(z.enum(LAYERS))
    .default([])
    .describe(
      `walls that virtual kernels may do without where this machine lacks them: ${LAYERS.join(', ')}; SECURITY.md says what each is for`,
    ),
  vkernelUids: z
    .number()
    .int()
    .default(0)
    .refine((first) => first === 0 || isVkernelBase(first), `use ${VKERNEL_BASES}, or 0`)
    .describe(
      'where this is root: the first of the 64 uids that virtual kernels of this node have, the same as its pmapd is told; 0: derived from socket_dir',
    ),
  programMemory: z
    .number()
    .int()
    .min(1 << 20)
    .max(PROGRAM_MEMORY_MAX)
    .default(PROGRAM_MEMORY_MAX)
    .describe(
      'bytes of memory that one program may ask for, at most; one that asks for nothing gets 1 GiB or this',
    ),
  lodges: z
    .boolean()
    .default(false)
    .describe(
      'the machine is that of another cluster, whose owner alone says what of it programs get: nobody of this one allows a directory, and lodging.json in socket_dir bounds them',
    ),
  controlGroup: z
    .string()
    .regex(/^([a-z0-9][a-z0-9-]{0,63})?$/, 'use at most 64 of a-z 0-9 -')
    .default('')
    .describe('control group below ours in which those of virtual kernels are made; empty: none between'),
  unconfined: z
    .boolean()
    .default(false)
    .describe(
      'start virtual kernels without the walls that --allow-unconfined names, though this machine has them: to measure what each costs',
    ),
  parkAfterMs: z
    .number()
    .int()
    .min(0)
    .max(86_400_000)
    .refine((ms) => ms === 0 || ms >= PARK_MIN_MS, `use ${PARK_MIN_MS} or more, or 0`)
    .default(600_000)
    .describe(
      'how long nothing runs in a virtual kernel until its OS process is ended; the next program makes it anew; 0: it is never ended',
    ),
  drainMs: z
    .number()
    .int()
    .min(0)
    .max(86_400_000)
    .default(0)
    .describe(
      'how long, on SIGTERM, programs that run may take to end by themselves; none is started meanwhile',
    ),
  ...serviceConfig,
};

export type VkerneldConfig = { [K in keyof typeof vkerneldConfig]: z.infer<(typeof vkerneldConfig)[K]> };
