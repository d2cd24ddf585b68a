import '@odonata/rpc/external-memory.ts';
import { parseConfig } from '@odonata/rpc/config.ts';
import { ownFolder, useTls } from '@odonata/rpc/identity/own.ts';
import { runService, STOP_MS } from '@odonata/rpc/lifecycle.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { routerAddresses } from '@odonata/rpc/syslink/routers.ts';
import { startTracing } from '@odonata/rpc/trace/own.ts';
import { syslinkdConfig } from './config.ts';
import { serveSyslinkd } from './serve.ts';

const about = {
  summary: 'routes messages and circuits between the parts of a cluster',
  examples: [
    'syslinkd --listen 127.0.0.1:7411',
    'syslinkd --listen 0.0.0.0:7411 --drain-ms 20000',
    'syslinkd --listen 0.0.0.0:7411 --peers 10.0.0.1:7411,10.0.1.1:7411',
    'ODONATA_SYSLINKD_LISTEN=127.0.0.1:0 syslinkd --log-level debug',
    'syslinkd --gateway /etc/odonata/gateway.yaml --syslink 10.0.0.1:7411 --tls-dir /etc/odonata/gateway',
  ],
};
const config = parseConfig('syslinkd', about, syslinkdConfig);
const log = createLog('syslinkd', config.logLevel);
useTls(config.tlsDir);
runService({
  name: 'syslinkd',
  log,
  stopMs: config.drainMs + STOP_MS,
  start: async () => {
    await startTracing(config, {
      service: 'syslinkd',
      instance: config.name || `syslinkd ${config.listen}`,
      log,
    });
    if (config.gateway !== '') {
      const { serveGateway } = await import('./gateway/serve.ts');
      const directory = routerAddresses(config.directory);
      const gateway = await serveGateway({ ...config, directory, log, folder: ownFolder() });
      process.on('SIGHUP', () => gateway.reload());
      return () => gateway.stop();
    }
    const syslinkd = await serveSyslinkd({ ...config, log });
    return (how) => syslinkd.stop(how);
  },
});
