import { address, serviceConfig } from '@odonata/rpc/config.ts';
import type { z } from 'zod';

/** Flags and environment of syslinkd. */
export const syslinkdConfig = {
  listen: address().default('127.0.0.1:7411').describe('address to listen on, host:port'),
  ...serviceConfig,
};

export type SyslinkdConfig = { [K in keyof typeof syslinkdConfig]: z.infer<(typeof syslinkdConfig)[K]> };
