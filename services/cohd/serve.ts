// Wires the directory: NATS first, then the machine, then the servers.
import { Bus } from '@odonata/bus/bus.ts';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { delay } from '@odonata/rpc/backoff.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { createRpcServer } from '@odonata/rpc/server.ts';
import { attachSyslink } from '@odonata/rpc/syslink/endpoint.ts';
import type { KV } from 'nats';
import { CoherencyService } from './coherency-service.ts';
import type { CohdConfig } from './config.ts';
import { directoryHandlers } from './handlers.ts';
import { cohdMetrics } from './metrics.ts';
import { Registry } from './registry.ts';

const monotonicMs = () => Number(process.hrtime.bigint() / 1_000_000n);

/** Starts cohd; the result stops it. */
export async function serve(
  config: CohdConfig,
  log: Logger,
  stopping: AbortSignal,
): Promise<() => Promise<void>> {
  const metrics = new Metrics('cohd');
  const meter = metrics.callMeter();
  // Before all else: a directory that waits for NATS is alive, and says why it is not ready.
  let notReady: () => string | undefined = () => 'waits for NATS';
  const { metricsListen } = config;
  const metricsServer = await serveMetrics({
    listen: metricsListen,
    metrics,
    log,
    notReady: () => notReady(),
  });
  const bus = await Bus.connect({
    url: config.nats,
    token: config.natsToken,
    replicas: config.natsReplicas,
    cluster: config.cluster,
    name: 'cohd',
    log,
  });
  const [dataspaces, members, epochs] = await withJetStream(bus, log, stopping);
  const registry = await Registry.load(dataspaces);
  // The revision grows with each start, so it orders directories.
  const epoch = BigInt(await epochs.put('epoch', config.advertise || config.listen));
  const service = new CoherencyService({
    epoch,
    leaseMs: config.leaseMs,
    registry,
    bus,
    members,
    expected: await expectedMembers(members),
    log,
    now: monotonicMs,
  });
  cohdMetrics(metrics, service, registry);
  notReady = () => (service.isRebuilding ? 'waits for the reports of the holders' : undefined);
  const handlers = directoryHandlers(service, registry);
  const server = createRpcServer({ name: 'cohd', log, meter }).add(DirectoryService, handlers);
  await server.listen(config.listen);
  const endpoint = attachSyslink({
    address: config.syslink,
    name: 'cohd',
    kind: EndpointKind.DIRECTORY,
    log,
    meter,
  });
  endpoint.serve(DirectoryService, handlers);
  return async () => {
    await endpoint.close();
    service.close();
    await server.drain(1_000);
    await bus.close();
    await metricsServer.close();
  };
}

async function withJetStream(bus: Bus, log: Logger, stopping: AbortSignal): Promise<[KV, KV, KV]> {
  for (;;) {
    try {
      return [await bus.bucket('dataspaces'), await bus.bucket('members'), await bus.bucket('directory')];
    } catch (error) {
      if (stopping.aborted) throw error;
      log.warn({ err: error }, 'JetStream does not answer yet; is nats-server run with -js?');
      await delay(500, stopping);
    }
  }
}

async function expectedMembers(members: KV): Promise<Map<string, bigint>> {
  const expected = new Map<string, bigint>();
  const keys: string[] = [];
  for await (const key of await members.keys()) keys.push(key);
  for (const key of keys) {
    const entry = await members.get(key);
    if (entry?.operation === 'PUT') expected.set(Buffer.from(key, 'hex').toString(), BigInt(entry.string()));
  }
  return expected;
}
