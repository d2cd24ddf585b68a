import { runService } from '@odonata/rpc/lifecycle.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { syslinkdConfig } from './config.ts';
import { serveSyslinkd } from './serve.ts';

const config = syslinkdConfig();
const log = createLog('syslinkd', config.logLevel);
runService({
  name: 'syslinkd',
  log,
  start: async () => {
    const syslinkd = await serveSyslinkd({ listen: config.listen, log });
    return () => syslinkd.stop();
  },
});
