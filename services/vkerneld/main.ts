import { parseConfig } from '@odonata/rpc/config.ts';
import { useTls } from '@odonata/rpc/identity/own.ts';
import { runService, STOP_MS } from '@odonata/rpc/lifecycle.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { vkerneldConfig } from './config.ts';
import { serveVkerneld } from './serve.ts';

const about = {
  summary: "supervises a node's virtual kernels and runs programs in them",
  examples: ['vkerneld --node node1 --node-index 1 --socket-dir /run/odonata/node1 --allow-dir /srv/data'],
};
const config = parseConfig('vkerneld', about, vkerneldConfig);
const log = createLog('vkerneld', config.logLevel).child({ node: config.node });
useTls(config.tlsDir);
runService({
  name: 'vkerneld',
  log,
  stopMs: config.drainMs + STOP_MS,
  start: async () => {
    const vkerneld = await serveVkerneld(config, log);
    process.on('SIGHUP', () => void vkerneld.leave().then(() => process.exit(0)));
    return (how) => vkerneld.stop(how);
  },
});
