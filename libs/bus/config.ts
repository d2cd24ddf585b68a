// Settings of a service that uses the bus.
import { z } from 'zod';
import { Bus, type BusLog } from './bus.ts';

export const busConfig = {
  nats: z.string().default('nats://127.0.0.1:4222').describe('NATS server with JetStream'),
  natsReplicas: z.number().int().min(1).max(5).default(1).describe('NATS servers that keep each record'),
  natsDir: z
    .string()
    .default('')
    .describe('folder of the NATS server, where it is on this machine: a full disk is then known for one'),
  natsToken: z.string().default('').describe('what NATS asks for; give it by the environment'),
  natsCredentials: z
    .string()
    .default('')
    .describe('file with the user and the password for NATS, a line each; empty: none'),
  natsCa: z
    .string()
    .default('')
    .describe(
      'file with the certificate of the authority by which the NATS server is known; empty: without TLS',
    ),
  cluster: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,30}$/, 'use 1 to 31 of a-z 0-9 -')
    .default('local')
    .describe('name of the cluster'),
};

export type BusConfig = { [K in keyof typeof busConfig]: z.infer<(typeof busConfig)[K]> };

/** @param name shown by the server */
export function connectBus(config: BusConfig, name: string, log: BusLog): Promise<Bus> {
  const { nats: url, natsToken: token, natsReplicas: replicas, natsDir: folder, cluster } = config;
  const { natsCredentials: credentials, natsCa: ca } = config;
  return Bus.connect({ url, token, ca, credentials, replicas, folder, cluster, name, log });
}
