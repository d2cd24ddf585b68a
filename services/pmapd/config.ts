import { busConfig } from '@odonata/bus/config.ts';
import { DEFAULT_SHARDS } from '@odonata/coherency/shard.ts';
import { address, serviceConfig, syslinkAddresses } from '@odonata/rpc/config.ts';
import { isVkernelBase, VKERNEL_BASES } from '@odonata/rpc/vkernel-uids.ts';
import { z } from 'zod';
import {
  HANDMADE_BYTES_OF_ONE,
  HANDMADE_LIMIT,
  HANDMADE_MAX,
  HANDMADE_OF_ONE,
} from './vmspaces/handmade/owner.ts';

/** Flags and environment of pmapd. */
export const pmapdConfig = {
  ...serviceConfig,
  node: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'use 1 to 63 of a-z 0-9 . -')
    .describe('name of this node, unique in the cluster'),
  nodeIndex: z
    .number()
    .int()
    .min(0)
    .max(99_999)
    .describe('number of this node, unique in the cluster, from 1; 0: the cluster gives it one, for good'),
  listen: address()
    .default('127.0.0.1:7431')
    .describe('address for page transfers and inspection, host:port'),
  advertise: address()
    .or(z.literal(''))
    .default('')
    .describe('address that other nodes reach it at, host:port; empty: where it listens'),
  socketDir: z.string().describe("directory of the node's sockets, for its virtual kernels"),
  vkernelDir: z
    .string()
    .default('')
    .describe(
      'directory of those of them that virtual kernels use, where these are of another user; empty: in socket_dir',
    ),
  vkernelUid: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe(
      'user of vkerneld and its virtual kernels, where that is another one, as in pods (takes vkernel_dir); 0: ours',
    ),
  vkernelUids: z
    .number()
    .int()
    .default(0)
    .refine((first) => first === 0 || isVkernelBase(first), `use ${VKERNEL_BASES}, or 0`)
    .describe(
      'where this is root: the first of the 64 uids that virtual kernels of this node have, the same as its vkerneld is told; 0: derived from socket_dir',
    ),
  memoryDir: z.string().describe("directory of the node's memory files, on a tmpfs"),
  framesBytes: z
    .number()
    .int()
    .refine((bytes) => bytes === 0 || bytes >= 1 << 20, 'at least 1048576, or 0')
    .default(0)
    .describe(
      "memory that the node hands out, in bytes; the tmpfs of its memory files must hold so many; 0: half of the machine's, or " +
        'what that tmpfs has',
    ),
  swapBytes: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe(
      'what private memory of processes may have of swap_dir when frames run short, in bytes; 0: nothing leaves',
    ),
  swapDir: z
    .string()
    .default('')
    .describe(
      'directory on a disk for that, in a file without a name; empty: the folder for temporary files',
    ),
  directory: z
    .array(address())
    .default([])
    .describe(
      'replicas of the coherency directory, host:port (repeatable); none: they are found through NATS',
    ),
  shards: z
    .number()
    .int()
    .min(1)
    .max(4_096)
    .default(DEFAULT_SHARDS)
    .describe('shards of the page space, as the directory has them'),
  ...busConfig,
  storeReplicas: z
    .number()
    .int()
    .min(1)
    .max(5)
    .default(1)
    .describe('NATS servers that keep each page of a durable dataspace'),
  storeBytes: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe(
      'what the backing store of the cluster may hold, in bytes; a larger number lets one that is there grow; ' +
        '0: as it is, and when it is made 1 GiB, or as much less as NATS has room for',
    ),
  drainMs: z
    .number()
    .int()
    .min(0)
    .max(3_600_000)
    .default(10_000)
    .describe('how long, on SIGTERM, pages may be handed over to other nodes; 0, and on SIGINT: not at all'),
  vmspaces: z
    .number()
    .int()
    .min(1)
    .max(HANDMADE_LIMIT)
    .default(HANDMADE_OF_ONE)
    .describe('vmspaces that one person may make by hand on this node'),
  nodeVmspaces: z
    .number()
    .int()
    .min(1)
    .max(HANDMADE_LIMIT)
    .default(HANDMADE_MAX)
    .describe('vmspaces that all people together may make by hand on this node'),
  vmspaceBytes: z
    .number()
    .int()
    .min(4_096)
    .default(HANDMADE_BYTES_OF_ONE)
    .describe('private memory that the vmspaces of one person made by hand may have on this node, in bytes'),
  testFlushMs: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('for tests only: empties the pmap of a process by chance, about so often; 0: never'),
  testNodeBytes: z
    .string()
    .regex(/^([a-z0-9.-]+=[1-9][0-9]*)?$/, 'use NODE=BYTES')
    .default('')
    .describe('for tests only: frames_bytes of one node, where it is this one; empty: none'),
  takeOver: z
    .boolean()
    .default(false)
    .describe(
      'where another pmap manager of this node runs: take its place at once, not only when it is told to stop',
    ),
  syslink: syslinkAddresses(),
};

export type PmapdConfig = { [K in keyof typeof pmapdConfig]: z.infer<(typeof pmapdConfig)[K]> };
