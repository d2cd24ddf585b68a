import { isMainThread, workerData } from 'node:worker_threads';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { parseConfig } from '@odonata/rpc/config.ts';
import { useTls } from '@odonata/rpc/identity/own.ts';
import { runService, STOP_MS } from '@odonata/rpc/lifecycle.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { useShortSlices } from '@odonata/userfault/scheduling.ts';
import { pmapdConfig } from './config.ts';
import { FramePool } from './frames/frame-pool.ts';
import { Lodgers } from './lodgers/lodgers.ts';
import { runLodger } from './lodgers/run.ts';
import { serve } from './serve.ts';

const about = {
  summary: "the pmap manager: owns a node's physical memory and the mappings of its virtual kernels",
  examples: [
    'pmapd --node node1 --node-index 1 --socket-dir /run/odonata --memory-dir /dev/shm/odonata/node1',
  ],
};

function run(): void {
  const config = parseConfig('pmapd', about, pmapdConfig);
  const log = createLog('pmapd', config.logLevel).child({ node: config.node });
  useTls(config.tlsDir);
  useShortSlices();
  const lodgers = new Lodgers({ socketDir: config.socketDir, program: process.argv[1]!, log });
  const ready = Promise.withResolvers<void>();
  runService({
    name: 'pmapd',
    log,
    stopMs: config.drainMs + STOP_MS,
    beside: (how) => lodgers.stop(how),
    start: (stopping) =>
      serve(config, log, stopping, {
        stop: () => process.kill(process.pid, 'SIGTERM'),
        pool: (framesBytes) => {
          const pool = FramePool.of(Math.floor(framesBytes / PAGE_BYTES));
          lodgers.start(pool);
          if (config.takeOver) void lodgers.standingBy().then(ready.resolve);
          else ready.resolve();
          return pool;
        },
        mayTakeOver: ready.promise,
      }),
  });
}

if (isMainThread) run();
else runLodger(workerData);
