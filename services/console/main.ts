import { parseConfig } from '@odonata/rpc/config.ts';
import { useTls } from '@odonata/rpc/identity/own.ts';
import { runService } from '@odonata/rpc/lifecycle.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { consoleConfig } from './config.ts';
import { serveConsole } from './serve.ts';

const about = {
  summary: 'a page that shows a cluster as it changes, for a browser',
  examples: [
    'console --syslink 127.0.0.1:7411 --tls-dir me',
    'console --listen 0.0.0.0:7480 --https-dir web --host-names console.example.org --tls-dir me',
    'ODONATA_CONSOLE_LISTEN=127.0.0.1:0 console --log-level debug',
  ],
};
const config = parseConfig('console', about, consoleConfig);
const log = createLog('console', config.logLevel);
useTls(config.tlsDir);
if (process.connected) process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
runService({
  name: 'console',
  log,
  start: async () => {
    const service = await serveConsole({ ...config, log });
    // Whoever started it wants to know where it is, and to take it along.
    process.send?.({ url: service.url });
    return () => service.stop();
  },
});
