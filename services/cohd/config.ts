import { address, serviceConfig } from '@odonata/rpc/config.ts';
import { z } from 'zod';

/** Flags and environment of cohd. */
export const cohdConfig = {
  ...serviceConfig,
  listen: address().default('127.0.0.1:7421').describe('address for holders and inspection, host:port'),
  advertise: address()
    .or(z.literal(''))
    .default('')
    .describe('address that holders reach it at, host:port; empty: where it listens'),
  nats: z.string().default('nats://127.0.0.1:4222').describe('NATS server with JetStream'),
  natsReplicas: z.number().int().min(1).max(5).default(1).describe('NATS servers that keep each record'),
  natsToken: z.string().default('').describe('what NATS asks for; give it by the environment'),
  cluster: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,30}$/, 'use 1 to 31 of a-z 0-9 -')
    .default('local')
    .describe('name of the cluster'),
  leaseMs: z
    .number()
    .int()
    .min(200)
    .max(60_000)
    .default(3_000)
    .describe('milliseconds after which a silent holder is dead'),
  syslink: address().default('127.0.0.1:7411').describe('syslink router, host:port'),
};

export type CohdConfig = { [K in keyof typeof cohdConfig]: z.infer<(typeof cohdConfig)[K]> };
