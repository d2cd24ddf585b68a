import { commonConfig, parseConfig } from '@odonata/rpc/config.ts';
import { z } from 'zod';

export function syslinkdConfig(argv?: readonly string[], env?: NodeJS.ProcessEnv) {
  return parseConfig(
    'syslinkd',
    {
      summary: 'routes messages and circuits between the parts of a cluster',
      examples: [
        'syslinkd --listen 127.0.0.1:7411',
        'ODONATA_SYSLINKD_LISTEN=127.0.0.1:0 syslinkd --log-level debug',
      ],
    },
    { listen: z.string().min(1).default('127.0.0.1:7411').describe('address to listen on'), ...commonConfig },
    argv,
    env,
  );
}
