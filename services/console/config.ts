import { address, serviceConfig, syslinkAddresses } from '@odonata/rpc/config.ts';
import { z } from 'zod';

/** Flags and environment of the console. */
export const consoleConfig = {
  listen: address()
    .refine((text) => !text.startsWith('unix:'), 'use host:port')
    .default('127.0.0.1:7480')
    .describe('address of the page, host:port; one that other machines reach needs --https-dir'),
  httpsDir: z
    .string()
    .default('')
    .describe(
      'folder with tls.crt and tls.key that browsers are shown; empty: plain HTTP, on this machine only',
    ),
  hostNames: z
    .array(z.string().regex(/^[a-z0-9.-]{1,253}$/, 'use names as console.example.org'))
    .max(16)
    .default([])
    .describe('names by which browsers reach it, besides the address that it listens on'),
  syslink: syslinkAddresses(),
  cluster: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,30}$/, 'use a name of a cluster')
    .default('default')
    .describe('what the cluster is called on the page'),
  sessionMinutes: z
    .number()
    .int()
    .min(1)
    .max(24 * 60)
    .default(60)
    .describe('minutes that nobody does anything, after which they log in again'),
  ...serviceConfig,
};

export type ConsoleConfig = { [K in keyof typeof consoleConfig]: z.infer<(typeof consoleConfig)[K]> };
