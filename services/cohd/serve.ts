// Wires the directory: NATS first, then the machine, then the servers.
import type { Bus } from '@odonata/bus/bus.ts';
import { connectBus } from '@odonata/bus/config.ts';
import { untilAnswered } from '@odonata/bus/until-answered.ts';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { createRpcServer } from '@odonata/rpc/server.ts';
import { attachSyslink } from '@odonata/rpc/syslink/endpoint.ts';
import type { KV } from 'nats';
import { CoherencyService } from './coherency-service.ts';
import type { CohdConfig } from './config.ts';
import { Election } from './election.ts';
import { directoryHandlers } from './handlers.ts';
import { Members } from './members.ts';
import { cohdMetrics } from './metrics.ts';
import { Registry } from './registry.ts';

/** Starts cohd; the result stops it. */
export async function serve(
  config: CohdConfig,
  log: Logger,
  stopping: AbortSignal,
): Promise<() => Promise<void>> {
  const { replica, shards, leaseMs, standalone } = config;
  const metrics = new Metrics('cohd');
  const meter = metrics.callMeter();
  // Before all else: a directory that waits for NATS is alive, and says why it is not ready.
  const notReady = () => 'waits for NATS';
  const metricsServer = await serveMetrics({ listen: config.metricsListen, metrics, log, notReady });
  const bus = await connectBus(config, replica, log);
  const buckets = await bucketsOf(bus, log, stopping);
  await expectShards(buckets.directory, shards);
  const members = new Members(buckets.members, replica, log);
  let service: CoherencyService | undefined;
  const registry = await Registry.load(bus, buckets.dataspaces, ({ id }) => service?.removed(id));
  // The revision grows with each start.
  const incarnation = BigInt(await buckets.directory.put('start', replica));
  let election: Election | undefined;
  service = new CoherencyService({
    ...{ replica, incarnation, shards, leaseMs, registry, bus, members, log },
    mayLead: () => election?.mayLead() ?? false,
    now: monotonicMs,
  });
  const led = service;
  cohdMetrics(metrics, led, registry);
  metricsServer.notReady = () => (led.isRebuilding ? 'waits for the reports of the holders' : undefined);
  const handlers = directoryHandlers(service, registry, () => election?.live ?? new Map());
  const server = createRpcServer({ name: replica, log, meter }).add(DirectoryService, handlers);
  const listens = await server.listen(config.listen);
  let known: Awaited<ReturnType<Members['all']>> = new Map();
  election = new Election({
    ...{
      bus,
      replicas: buckets.replicas,
      shardKeys: buckets.shards,
      replica,
      incarnation,
      standalone,
      shards,
      leaseMs,
      log,
    },
    address: config.advertise || listens,
    beforeLeading: async () => {
      known = await members.all();
    },
    // Who the last leader had buried is not asked what it has: others may have that by now.
    onLead: (shard, epoch, predecessor) =>
      service.lead(shard, epoch, known.get(predecessor ?? '') ?? new Map()),
    onLeave: (shard) => service.leave(shard),
    // Ends the process, with this reason.
    onConflict: (reason) =>
      setImmediate(() => {
        throw new Error(reason);
      }),
  });
  await election.start();
  const endpoint = attachSyslink({
    address: config.syslink,
    name: replica,
    kind: EndpointKind.DIRECTORY,
    log,
    meter,
  });
  endpoint.serve(DirectoryService, handlers);
  return async () => {
    await endpoint.close();
    await election.close();
    service.close();
    registry.close();
    await server.drain(1_000);
    await bus.close();
    await metricsServer.close();
  };
}

type Buckets = Record<'dataspaces' | 'members' | 'directory' | 'replicas' | 'shards', KV>;

async function bucketsOf(bus: Bus, log: Logger, stopping: AbortSignal): Promise<Buckets> {
  const names = ['dataspaces', 'members', 'directory', 'replicas', 'shards'] as const;
  const open = () => Promise.all(names.map(async (name) => [name, await bus.bucket(name)] as const));
  const line = 'JetStream does not answer yet; is nats-server run with -js?';
  return Object.fromEntries(await untilAnswered(open, { log, line, stopping })) as Buckets;
}

/** The first replica fixes the number of shards for all. */
async function expectShards(directory: KV, shards: number): Promise<void> {
  const fixed = await directory.get('shards');
  if (fixed === null) {
    await directory.create('shards', String(shards)).catch(() => expectShards(directory, shards));
    return;
  }
  if (fixed.string() !== String(shards))
    throw new Error(
      `--shards ${shards}: this cluster has ${fixed.string()} shards, for its life; use that number`,
    );
}
