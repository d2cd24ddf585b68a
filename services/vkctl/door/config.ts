import { address, serviceConfig, syslinkAddresses } from '@odonata/rpc/config.ts';
import { z } from 'zod';

/** Flags and environment of the door. */
export const doorConfig = {
  listen: address().describe('address that machines join at, host:port'),
  stateDir: z
    .string()
    .startsWith('/', 'use an absolute path')
    .describe('folder of the cluster, with its record and its authority'),
  syslink: syslinkAddresses(),
  ...serviceConfig,
};
