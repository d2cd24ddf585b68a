// What the thread of a lodger runs (lodger-thread.ts).
import { openSync } from 'node:fs';
import { getHeapStatistics } from 'node:v8';
import { parentPort } from 'node:worker_threads';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { parseConfig } from '@odonata/rpc/config.ts';
import { useTls } from '@odonata/rpc/identity/own.ts';
import { runService, STOP_MS } from '@odonata/rpc/lifecycle.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { useShortSlices } from '@odonata/userfault/scheduling.ts';
import { pmapdConfig } from '../config.ts';
import { FramePool } from '../frames/frame-pool.ts';
import type { Node } from '../node.ts';
import { serve } from '../serve.ts';
import type { FromThread, ThreadStart, ToThread } from './lodger-thread.ts';

export function runLodger({ lodger, args, logFile, framesBytes, pool, slot }: ThreadStart): void {
  const port = parentPort!;
  const say = (message: FromThread) => port.postMessage(message);
  const shared = new FramePool(pool, slot);
  const bytesOf = (bytes: number): number => bytes || shared.total * PAGE_BYTES;
  // The environment is that of the machine's own cluster.
  const parsed = parseConfig(
    'pmapd',
    'the pmap manager of a cluster that lodges here',
    pmapdConfig,
    args,
    {},
  );
  const config = { ...parsed, framesBytes: bytesOf(framesBytes) };
  const log = createLog('pmapd', config.logLevel, openSync(logFile, 'a', 0o600)).child({
    node: config.node,
    lodger,
  });
  useTls(config.tlsDir);
  useShortSlices();
  let node: Node | undefined;
  let boundBytes = config.framesBytes;
  const bound = () => {
    if (node !== undefined) node.frames.total = Math.floor(boundBytes / PAGE_BYTES);
  };
  let stop: (signal: 'SIGTERM' | 'SIGINT') => void = () => {};
  port.on('message', (message: ToThread) => {
    if ('stop' in message) return stop(message.stop);
    boundBytes = bytesOf(message.framesBytes);
    bound();
  });
  watchHeap((ends) => {
    log.fatal(`pmapd ends: ${ends}`);
    say({ ends });
    stop('SIGINT');
  });
  runService({
    name: 'pmapd',
    log,
    stopMs: config.drainMs + STOP_MS,
    onStopper: (stopper) => {
      stop = stopper;
    },
    start: (stopping) =>
      serve(config, log, stopping, {
        stop: () => stop('SIGTERM'),
        pool: () => shared,
        onStandingBy: () => say('standing by'),
        onNode: (made) => {
          node = made;
          bound();
          say('up');
        },
      }),
  });
}

/** Of what V8 lets the thread have. */
const HEAP_PART = 0.75;
const HEAP_LOOK_MS = 500;

/**
 * A thread whose heap is about to be full ends in order: where V8 ends it, in the midst of what it hears, Node may end the whole
 * process, by an assertion of its own about streams that nobody has heard of yet.
 */
function watchHeap(full: (why: string) => void): void {
  const look = ownTurn({ timer: 'heap' }, () => {
    const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
    if (used < most * HEAP_PART) return;
    clearInterval(timer);
    full(`its heap has ${Math.round(used / 2 ** 20)} MiB of ${Math.round(most / 2 ** 20)}`);
  });
  const timer = setInterval(look, HEAP_LOOK_MS).unref();
}
