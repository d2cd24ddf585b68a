import { parseConfig } from '@odonata/rpc/config.ts';
import { useTls } from '@odonata/rpc/identity/own.ts';
import { runService } from '@odonata/rpc/lifecycle.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { useShortSlices } from '@odonata/userfault/scheduling.ts';
import { cohdConfig } from './config.ts';
import { serve } from './serve.ts';

const about = {
  summary: 'the coherency directory: orders every change of every shared page',
  examples: ['cohd --listen 127.0.0.1:7421 --nats nats://127.0.0.1:4222 --cluster local'],
};
const config = parseConfig('cohd', about, cohdConfig);
const log = createLog('cohd', config.logLevel);
useTls(config.tlsDir);

useShortSlices();
runService({ name: 'cohd', log, start: (stopping) => serve(config, log, stopping) });
