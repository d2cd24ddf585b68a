// The console: an HTTP server for browsers on one side, lines to the routers on the other, one for each person.
import type { AddressInfo } from 'node:net';
import { Cluster } from '@odonata/client/cluster.ts';
import { connectTo } from '@odonata/client/connection.ts';
import { ListenError, splitAddress } from '@odonata/rpc/address.ts';
import { EventLog } from '@odonata/rpc/events.ts';
import { ownFolder } from '@odonata/rpc/identity/own.ts';
import { SettingError } from '@odonata/rpc/lifecycle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { Api } from './api.ts';
import type { ConsoleConfig } from './config.ts';
import { Logins } from './login.ts';
import { makePage } from './page-files.ts';
import { People } from './people.ts';
import { Sessions } from './sessions.ts';
import { makeWebServer } from './web-server.ts';

const SWEEP_MS = 5_000;
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|localhost|::1)$/;

export interface Console {
  /** http://host:port */
  readonly url: string;
  stop(): Promise<void>;
}

export type ConsoleOptions = Omit<ConsoleConfig, 'logLevel' | 'tlsDir'> & { readonly log: Logger };

export async function serveConsole(options: ConsoleOptions): Promise<Console> {
  const { log, listen, httpsDir, syslink, cluster } = options;
  const { host, port } = splitAddress(listen);
  if (httpsDir === '' && !LOOPBACK.test(host))
    throw new SettingError(
      `--listen ${listen} is reached by other machines, and a login would go there in the clear; give --https-dir, or listen on 127.0.0.1`,
    );
  const files = await makePage();
  const people = new People({
    log,
    connect: async (folder) => new Cluster(await connectTo(cluster, syslink, { folder, log })),
  });
  const own = ownFolder();
  const security = new SecurityEvents(new EventLog({ service: 'console', log, file: options.eventsFile }));
  const server = makeWebServer(httpsDir, { log, security });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ListenError(listen, 'listen', error)));
    server.listen({ host, port }, resolve);
  });
  const { port: at } = server.address() as AddressInfo;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  const url = `${httpsDir === '' ? 'http' : 'https'}://${shownHost}:${at}`;
  const sessions = new Sessions(options.sessionMinutes * 60_000, (watch) => people.left(watch));
  const hosts = [host, 'localhost', ...options.hostNames].flatMap((name) => [
    name.includes(':') ? `[${name}]:${at}` : `${name}:${at}`,
    ...(options.hostNames.includes(name) ? [name] : []),
  ]);
  const api = new Api({
    ...{ log, files, sessions, people, cluster, hosts: new Set(hosts) },
    logins: new Logins(hosts.map((name) => `${httpsDir === '' ? 'http' : 'https'}://${name}`)),
    isSecure: httpsDir !== '',
    needsLogin: own !== undefined,
  });
  server.on('request', (request, response) => void api.serve(request, response));
  // Its own watch keeps the charts while nobody looks; where no router answers yet, it is made at a login.
  void people.keepOwn(own);
  const sweeping = setInterval(() => sessions.sweep(Date.now()), SWEEP_MS);
  const metrics = new Metrics('console');
  metrics.gauge('sessions', 'Sessions of people that are logged in', () => sessions.size);
  metrics.gauge('streams', 'Streams to browsers that are open', () => api.streams);
  security.countIn(metrics);
  metrics.counter('refusals_total', 'Requests that were refused', () => api.refusals);
  const metricsServer = await serveMetrics({
    ...{ listen: options.metricsListen, metrics, log },
    notReady: () => people.notReady(own !== undefined),
  });
  log.info({ url }, 'console');
  return {
    url,
    async stop() {
      clearInterval(sweeping);
      sessions.endAll();
      people.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await metricsServer.close();
    },
  };
}
