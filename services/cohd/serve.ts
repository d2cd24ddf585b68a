// Wires the directory: NATS first, then the machine, then the servers.
import type { Bus } from '@odonata/bus/bus.ts';
import { connectBus } from '@odonata/bus/config.ts';
import { untilAnswered } from '@odonata/bus/until-answered.ts';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { EventService } from '@odonata/proto/event/v1/event';
import { RecordService } from '@odonata/proto/service/v1/service';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { WantedService } from '@odonata/proto/vkernel/v1/wanted';
import { EventLog } from '@odonata/rpc/events.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { createRpcServer } from '@odonata/rpc/server.ts';
import { attachSyslink } from '@odonata/rpc/syslink/endpoint.ts';
import { ownTracer, startTracing } from '@odonata/rpc/trace/own.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import type { KV } from 'nats';
import { CoherencyService } from './coherency-service.ts';
import type { CohdConfig } from './config.ts';
import { ElectionBuckets } from './election-buckets.ts';
import { directoryHandlers } from './handlers.ts';
import { Members } from './members.ts';
import { cohdMetrics } from './metrics.ts';
import { PageTraces } from './page-traces.ts';
import { Registry } from './registry.ts';
import { ServiceRecords } from './service-records.ts';
import { wantedHandlers } from './wanted.ts';

/** Starts cohd; the result stops it. */
export async function serve(
  config: CohdConfig,
  log: Logger,
  stopping: AbortSignal,
): Promise<() => Promise<void>> {
  const { replica, shards, leaseMs, standalone } = config;
  await startTracing(config, { service: 'cohd', instance: replica, log });
  const tracer = ownTracer();
  const metrics = new Metrics('cohd');
  const meter = metrics.callMeter();
  const events = new EventLog({ service: replica, log, file: config.eventsFile });
  events.countIn(metrics);
  const security = new SecurityEvents(events);
  security.countIn(metrics);
  // Before all else: a directory that waits for NATS is alive, and says why it is not ready.
  const notReady = () => 'waits for NATS';
  const metricsServer = await serveMetrics({ listen: config.metricsListen, metrics, log, notReady });
  const bus = await connectBus(config, replica, log);
  // A bucket that several servers keep may be there before it has a leader whom all of them know.
  const line = 'JetStream does not answer yet; is nats-server run with -js?';
  const answered = <T>(ask: () => Promise<T>) => untilAnswered(ask, { log, line, stopping });
  const buckets = await answered(() => bucketsOf(bus));
  expectShards(await answered(() => shardsOf(buckets.directory, shards)), shards);
  let service: CoherencyService | undefined;
  const registry = await answered(() =>
    Registry.load(bus, buckets.dataspaces, ({ id }) => service?.removed(id)),
  );
  const records = await answered(() =>
    ServiceRecords.load({ bus, records: buckets.services, programs: buckets.programs, log }),
  );
  // The revision grows with each start.
  const incarnation = BigInt(await answered(() => buckets.directory.put('start', replica)));
  const members = new Members(buckets.members, replica, incarnation);
  const noted = await answered(() => members.takeOver());
  if (noted === undefined)
    throw new Error(
      `--replica ${replica}: another one of that name began later; give each a name of its own`,
    );
  service = new CoherencyService({
    ...{ replica, incarnation, shards, leaseMs, registry, bus, members, noted, log, events },
    ...{ alone: standalone, elected: true, now: monotonicMs },
    traces: tracer && new PageTraces(tracer),
  });
  const led = service;
  const gate = new WireGate('cohd', log);
  cohdMetrics(metrics, led, registry, bus);
  metricsServer.notReady = () => (led.isRebuilding ? 'waits for the reports of the holders' : undefined);
  const handlers = directoryHandlers(service, registry, () => led.live, gate, config);
  const server = createRpcServer({ name: replica, log, meter, security }).add(DirectoryService, handlers);
  const wanted = wantedHandlers(records);
  server
    .add(EventService, events.handlers())
    .add(RecordService, records.handlers())
    .add(WantedService, wanted);
  if (config.socket) await server.listen(`unix:${config.socket}`);
  const listens = await server.listen(config.listen);
  const { replicas, shards: shardKeys } = buckets;
  const electionBuckets = new ElectionBuckets({
    ...{ bus, replicas, shardKeys, replica, incarnation, gate },
    // Ends the process, with this reason.
    onOutvoted: (error) =>
      setImmediate(() => {
        throw error;
      }),
  });
  await service.takePart({ address: config.advertise || listens, standalone }, electionBuckets);
  const endpoint = attachSyslink({
    address: config.syslink,
    name: replica,
    kind: EndpointKind.DIRECTORY,
    ...{ log, meter, security },
  });
  metricsServer.notReady = () =>
    endpoint.refusal ?? (led.isRebuilding ? 'waits for the reports of the holders' : undefined);
  endpoint.serve(DirectoryService, handlers);
  endpoint.serve(EventService, events.handlers()).serve(RecordService, records.handlers());
  endpoint.serve(WantedService, wanted);
  return async () => {
    await endpoint.close();
    await led.retreat();
    led.close();
    registry.close();
    records.close();
    await server.drain(1_000);
    await bus.close();
    await metricsServer.close();
  };
}

const BUCKETS = ['dataspaces', 'members', 'directory', 'replicas', 'shards', 'services', 'programs'] as const;
type Buckets = Record<(typeof BUCKETS)[number], KV>;

async function bucketsOf(bus: Bus): Promise<Buckets> {
  const open = BUCKETS.map(async (name) => [name, await bus.bucket(name)] as const);
  return Object.fromEntries(await Promise.all(open)) as Buckets;
}

/** How many shards the cluster has: the first replica fixes it for all. */
async function shardsOf(directory: KV, wanted: number): Promise<string> {
  const read = async () => (await directory.get('shards'))?.string();
  const fixed = await read();
  if (fixed !== undefined) return fixed;
  await directory.create('shards', String(wanted)).catch(() => {}); // Another replica may have been first.
  const made = await read();
  if (made === undefined) throw new Error('the number of shards could not be stored');
  return made;
}

function expectShards(fixed: string, shards: number): void {
  if (fixed !== String(shards))
    throw new Error(`--shards ${shards}: this cluster has ${fixed} shards, for its life; use that number`);
}
