import { parseConfig } from '@odonata/rpc/config.ts';
import { useTls } from '@odonata/rpc/identity/own.ts';
import { runService, STOP_MS } from '@odonata/rpc/lifecycle.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { useShortSlices } from '@odonata/userfault/scheduling.ts';
import { pmapdConfig } from './config.ts';
import { serve } from './serve.ts';

const about = {
  summary: "the pmap manager: owns a node's physical memory and the mappings of its virtual kernels",
  examples: [
    'pmapd --node node1 --node-index 1 --socket-dir /run/odonata --memory-dir /dev/shm/odonata/node1',
  ],
};
const config = parseConfig('pmapd', about, pmapdConfig);
const log = createLog('pmapd', config.logLevel).child({ node: config.node });
useTls(config.tlsDir);

useShortSlices();
runService({
  name: 'pmapd',
  log,
  stopMs: config.drainMs + STOP_MS,
  start: (stopping) => serve(config, log, stopping),
});
