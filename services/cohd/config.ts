import { busConfig } from '@odonata/bus/config.ts';
import { DEFAULT_SHARDS } from '@odonata/coherency/shard.ts';
import { address, serviceConfig, socketPath, syslinkAddresses } from '@odonata/rpc/config.ts';
import { z } from 'zod';

/** Flags and environment of cohd. */
export const cohdConfig = {
  ...serviceConfig,
  listen: address().default('127.0.0.1:7421').describe('address for holders and inspection, host:port'),
  socket: socketPath(),
  advertise: address()
    .or(z.literal(''))
    .default('')
    .describe(
      'address at which holders and other replicas reach this one, host:port; empty: the one it listens on',
    ),
  replica: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'use 1 to 63 of a-z 0-9 . -')
    .default('cohd')
    .describe('name of this replica of the directory, unique in the cluster'),
  standalone: z
    .boolean()
    .default(false)
    .describe('this is the only replica: it takes all shards at once, and goes on while NATS is away'),
  shards: z
    .number()
    .int()
    .min(1)
    .max(4_096)
    .default(DEFAULT_SHARDS)
    .describe('shards of the page space; the same at every replica and node, for the life of the cluster'),
  ...busConfig,
  leaseMs: z
    .number()
    .int()
    .min(200)
    .max(60_000)
    .default(3_000)
    .describe('milliseconds after which a silent holder is dead'),
  userDataspaces: z
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(10_000)
    .describe('dataspaces that one user may own'),
  syslink: syslinkAddresses(),
};

export type CohdConfig = { [K in keyof typeof cohdConfig]: z.infer<(typeof cohdConfig)[K]> };
