import { isAddress } from '@odonata/rpc/address.ts';
import { address, serviceConfig, socketPath, syslinkAddresses } from '@odonata/rpc/config.ts';
import { routerAddresses } from '@odonata/rpc/syslink/routers.ts';
import { z } from 'zod';

/** Flags and environment of syslinkd. */
export const syslinkdConfig = {
  listen: address().default('127.0.0.1:7411').describe('address to listen on, host:port'),
  socket: socketPath(),
  ...serviceConfig,
  name: z
    .string()
    .max(128)
    .regex(/^([A-Za-z0-9][A-Za-z0-9._:/-]*)?$/)
    .default('')
    .describe(
      'its name among routers, another one for each; empty: the one in its certificate, or this host and address',
    ),
  peers: z
    .string()
    .refine((list) => routerAddresses(list).every(isAddress), 'use host:port, several with commas')
    .default('')
    .describe(
      'other routers that it opens lines to, host:port with commas between; messages go on through them to whoever is attached there; a name stands for all of its addresses',
    ),
  gateway: z
    .string()
    .refine((path) => path === '' || path.startsWith('/'), 'use an absolute path')
    .default('')
    .describe(
      'policy of a gateway to clusters of other owners: then it is one, and no router; see docs/gateways.md',
    ),
  syslink: syslinkAddresses().describe(
    'of a gateway: the routers of its own cluster, host:port with commas between',
  ),
  directory: z
    .string()
    .refine((list) => routerAddresses(list).every(isAddress), 'use host:port, several with commas')
    .default('')
    .describe(
      'of a gateway: the replicas of the directory of its own cluster, host:port with commas between; without it dataspaces do not cross',
    ),
  pagesListen: address()
    .default('127.0.0.1:0')
    .describe(
      'of a gateway: where nodes of its own cluster bring pages of dataspaces that it exports, host:port',
    ),
  settleMs: z
    .number()
    .int()
    .min(0)
    .max(60_000)
    .default(2_000)
    .describe(
      'milliseconds after the start in which it is not ready, and clients prefer other routers: services find it meanwhile',
    ),
  drainMs: z
    .number()
    .int()
    .min(0)
    .max(600_000)
    .default(10_000)
    .describe(
      'milliseconds that circuits may go on after SIGTERM, while everybody new is sent to other routers',
    ),
};

export type SyslinkdConfig = { [K in keyof typeof syslinkdConfig]: z.infer<(typeof syslinkdConfig)[K]> };
