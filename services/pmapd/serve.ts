// Wires the pmap manager: a clean memory directory, or what another one left in it, the sockets of the node, the line to
// the directory.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Bus } from '@odonata/bus/bus.ts';
import { connectBus } from '@odonata/bus/config.ts';
import { claimNodeIndex } from '@odonata/bus/node-index.ts';
import { EventService } from '@odonata/proto/event/v1/event';
import { HandOverService } from '@odonata/proto/pmap/v1/handover';
import { DataspaceService, PmapService, TransferService } from '@odonata/proto/pmap/v1/pmap';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { StopHow } from '@odonata/rpc/lifecycle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { createRpcServer, isListening } from '@odonata/rpc/server.ts';
import { attachSyslink } from '@odonata/rpc/syslink/endpoint.ts';
import { DescriptorDoor } from '@odonata/userfault/descriptor-door.ts';
import { adoptHandler } from './adopt.ts';
import type { PmapdConfig } from './config.ts';
import { dataspaceHandlers } from './dataspace-handlers.ts';
import { pmapHandlers } from './handlers.ts';
import { lockNode } from './handover/node-lock.ts';
import { Predecessor } from './handover/predecessor.ts';
import { inherit } from './handover/snapshot.ts';
import { StandbyServer } from './handover/standby-server.ts';
import { clearDoors, handOverAddress, type Inheritance, succeed } from './handover/successor.ts';
import { clearMemoryDir } from './leftovers.ts';
import { fitFrames } from './memory-dir.ts';
import { pmapdMetrics } from './metrics.ts';
import { Node } from './node.ts';
import { transferHandlers } from './transfer.ts';

/** How long another pmap manager of the node may hold its lock without an answer: while it starts, or ends. */
const LOCK_MS = 30_000;
const LOCK_POLL_MS = 20;
/** How long a virtual kernel may take to resume its session here; longer than it tries itself. */
const RESUME_MS = 15_000;

/** Starts pmapd; the result stops it. */
export async function serve(
  configured: PmapdConfig,
  log: Logger,
  stopping: AbortSignal,
): Promise<(how: StopHow) => Promise<void>> {
  mkdirSync(configured.memoryDir, { recursive: true, mode: 0o700 });
  const config = fitFrames(configured, log);
  mkdirSync(config.socketDir, { recursive: true, mode: 0o700 });
  const metrics = new Metrics('pmapd');
  const meter = metrics.callMeter();
  // Before all else: a node that waits for NATS is alive, and says why it is not ready.
  let notReady: () => string | undefined = () => 'waits for NATS';
  const metricsServer = await serveMetrics({
    ...{ listen: config.metricsListen, metrics, log },
    notReady: () => notReady(),
  });
  const bus = await connectBus(config, `pmapd ${config.node}`, log);
  const nodeIndex = config.nodeIndex || (await claimNodeIndex(bus, config.node, log, stopping));
  const standby = new StandbyServer(config.listen, log);
  const onStandingBy = () => {
    notReady = () => undefined;
    void standby.start();
  };
  const node = await becomeManager(config, bus, { log, stopping, onStandingBy });
  await standby.stop();
  pmapdMetrics(metrics, node);
  notReady = () => (node.directoryConnected ? undefined : 'waits for the directory');
  const server = createRpcServer({ name: 'pmapd', log, meter });
  const pmap = pmapHandlers(node, () => door, nodeIndex);
  const dataspaces = dataspaceHandlers(node);
  server
    .add(PmapService, pmap)
    .add(DataspaceService, dataspaces)
    .add(EventService, node.events.handlers())
    .add(TransferService, { ...transferHandlers(node), ...adoptHandler(node) });
  const predecessor = new Predecessor({
    ...{ node, shards: config.shards, log },
    stop: () => process.kill(process.pid, 'SIGTERM'),
  });
  const succession = createRpcServer({ name: 'pmapd for its successor', log });
  succession.add(HandOverService, predecessor.handlers());
  clearDoors(config.socketDir);
  await server.listen(`unix:${join(config.socketDir, 'pmapd.sock')}`);
  // After the socket above: virtual kernels that move take the door for the sign that somebody answers there.
  const door = new DescriptorDoor(join(config.socketDir, 'userfault.sock'));
  clearMemoryDir(config.memoryDir, log, node.files());
  const bound = await server.listen(config.listen);
  await node.join(config.advertise || bound, stopping);
  await succession.listen(handOverAddress(config.socketDir));
  const endpoint = attachSyslink({
    address: config.syslink,
    name: `${config.node}/pmapd`,
    kind: EndpointKind.PMAP,
    node: config.node,
    nodeIndex,
    log,
    meter,
  });
  endpoint.serve(PmapService, pmap);
  endpoint.serve(DataspaceService, dataspaces);
  endpoint.serve(EventService, node.events.handlers());
  return async ({ atOnce }) => {
    server.setServing(false);
    notReady = () => 'stops';
    if (!atOnce && (await predecessor.handOver())) {
      endpoint.close();
      node.letGo();
      await server.drain(0);
      door.close();
      // The socket of the succession stays until this process ends: that is what the successor waits for.
      return;
    }
    if (!atOnce && config.drainMs > 0) await node.drain(config.drainMs);
    endpoint.close();
    node.close();
    // What has left serves nobody any more.
    await server.drain(node.isLeaving ? 100 : 1_000);
    await succession.drain(0);
    door.close();
    await bus.close();
    await metricsServer.close();
  };
}

/** Waits until this process is the pmap manager of its node: at once, or in the place of another one. */
async function becomeManager(
  config: PmapdConfig,
  bus: Bus,
  how: { log: Logger; stopping: AbortSignal; onStandingBy: () => void },
): Promise<Node> {
  const { log, stopping } = how;
  const inherited = await succeed({ config, ...how });
  const node = new Node(config, bus, log, inherited?.snapshot.incarnation);
  if (inherited !== undefined) await takeOver(node, inherited, log);
  const endMs = monotonicMs() + LOCK_MS;
  while (!lockNode(config.socketDir)) {
    // It ends, or it is another one that was faster, and answers soon.
    if (inherited === undefined && (await isListening(handOverAddress(config.socketDir))))
      return await becomeManager(config, bus, how);
    if (monotonicMs() > endMs)
      throw new RpcError(
        Code.AlreadyExists,
        `another pmap manager of ${config.node} runs, and does not answer (${config.socketDir}/pmapd.lock)`,
      );
    await delay(LOCK_POLL_MS, stopping);
  }
  return node;
}

/** Takes the place of the other pmap manager; its sockets are free when this resolves. */
async function takeOver(node: Node, { snapshot, claim, take }: Inheritance, log: Logger): Promise<void> {
  inherit(node, snapshot, claim);
  await take();
  setTimeout(() => node.endUnresumed(), RESUME_MS).unref();
  const { sessions, dataspaces } = snapshot;
  log.info({ vkernels: sessions.length, dataspaces: dataspaces.length }, 'goes on for another pmap manager');
}
