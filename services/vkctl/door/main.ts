// Entry of the door: who keeps the authority of a cluster that other machines may join.
import { join } from 'node:path';
import { DoorService } from '@odonata/proto/door/v1/door';
import { EventService } from '@odonata/proto/event/v1/event';
import { PmapService } from '@odonata/proto/pmap/v1/pmap';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { parseConfig } from '@odonata/rpc/config.ts';
import { EventLog } from '@odonata/rpc/events.ts';
import { ownFolder, useTls } from '@odonata/rpc/identity/own.ts';
import { runService, SettingError } from '@odonata/rpc/lifecycle.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { readRecord } from '../cluster/record.ts';
import { doorConfig } from './config.ts';
import { Desk } from './desk.ts';
import { doorHandlers } from './handlers.ts';
import { serveMachines } from './https.ts';
import { TokenBook } from './token-book.ts';

const STATS_MS = 1_000;

const about = {
  summary: 'lets machines into a cluster that began on this one, and puts them out',
  examples: ['door --listen 10.0.0.1:7412 --state-dir ~/.local/state/odonata/default --tls-dir DIR'],
};
const config = parseConfig('door', about, doorConfig);
const log = createLog('door', config.logLevel);
// biome-ignore lint/correctness/useHookAtTopLevel: of identities, and not of React.
useTls(config.tlsDir);
runService({
  name: 'door',
  log,
  start: async () => {
    const folder = ownFolder();
    const clusterFile = join(config.stateDir, 'cluster.json');
    const record = readRecord(clusterFile);
    if (folder === undefined) throw new SettingError('a door needs an identity: give --tls-dir');
    if (record === undefined) throw new SettingError(`no cluster has its record in ${clusterFile}`);
    const { plan } = record;
    const metrics = new Metrics('door');
    const events = new EventLog({ service: 'door', log, file: config.eventsFile });
    events.countIn(metrics);
    const security = new SecurityEvents(events);
    security.countIn(metrics);
    const tokens = new TokenBook(plan);
    const desk: Desk = new Desk({
      ...{ plan, tokens, log },
      happened: (kind, text, node) => events.add(kind, text, { node }),
      waitingFor: (node) => waitingFor(endpoint, node),
    });
    const endpoint = attachSyslink({
      ...{ address: config.syslink, name: 'door', kind: EndpointKind.DOOR, log, security },
      meter: metrics.callMeter(),
    });
    endpoint.serve(EventService, events.handlers());
    endpoint.serve(
      DoorService,
      doorHandlers({
        ...{ plan, desk, tokens, folder, read: () => readRecord(clusterFile) },
        happened: (kind, text, subject) => events.add(kind, text, subject),
      }),
    );
    const refused = (attempt: string, peer: string, text: string) => security.refused(attempt, peer, text);
    const machines = await serveMachines({ listen: config.listen, folder, desk, log, refused });
    const notReady = () => endpoint.refusal;
    const metricsServer = await serveMetrics({ listen: config.metricsListen, metrics, log, notReady });
    return async () => {
      await machines.close();
      endpoint.close();
      await metricsServer.close();
    };
  },
});

/** Of a node that starts: what no router has yet, or has no directory. */
async function waitingFor(endpoint: SyslinkEndpoint, node: string): Promise<string[]> {
  const attached = new Set(
    (await endpoint.listEndpoints().catch(() => [])).filter((each) => each.connected).map(({ name }) => name),
  );
  const missing = [`${node}/pmapd`, `${node}/vkerneld`].filter((name) => !attached.has(name));
  if (missing.length > 0) return missing;
  const pmapd = endpoint.client(PmapService, { name: `${node}/pmapd` });
  const stats = await pmapd.getNodeStats({}, { deadlineMs: STATS_MS }).catch(() => undefined);
  return stats?.directoryConnected ? [] : [`${node}/pmapd`];
}
