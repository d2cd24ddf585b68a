// Wires the pmap manager: a clean memory directory, the sockets of the node, the line to the directory.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { connectBus } from '@odonata/bus/config.ts';
import { claimNodeIndex } from '@odonata/bus/node-index.ts';
import { DataspaceService, PmapService, TransferService } from '@odonata/proto/pmap/v1/pmap';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import type { StopHow } from '@odonata/rpc/lifecycle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { createRpcServer } from '@odonata/rpc/server.ts';
import { attachSyslink } from '@odonata/rpc/syslink/endpoint.ts';
import { DescriptorDoor } from '@odonata/userfault/descriptor-door.ts';
import { adoptHandler } from './adopt.ts';
import type { PmapdConfig } from './config.ts';
import { dataspaceHandlers } from './dataspace-handlers.ts';
import { pmapHandlers } from './handlers.ts';
import { clearMemoryDir } from './leftovers.ts';
import { pmapdMetrics } from './metrics.ts';
import { Node } from './node.ts';
import { transferHandlers } from './transfer.ts';

/** Starts pmapd; the result stops it. */
export async function serve(
  config: PmapdConfig,
  log: Logger,
  stopping: AbortSignal,
): Promise<(how: StopHow) => Promise<void>> {
  mkdirSync(config.memoryDir, { recursive: true, mode: 0o700 });
  mkdirSync(config.socketDir, { recursive: true, mode: 0o700 });
  const metrics = new Metrics('pmapd');
  const meter = metrics.callMeter();
  // Before all else: a node that waits for NATS is alive, and says why it is not ready.
  const notReady = () => 'waits for NATS';
  const metricsServer = await serveMetrics({ listen: config.metricsListen, metrics, log, notReady });
  const bus = await connectBus(config, `pmapd ${config.node}`, log);
  const nodeIndex = config.nodeIndex || (await claimNodeIndex(bus, config.node, log, stopping));
  const server = createRpcServer({ name: 'pmapd', log, meter });
  const node = new Node(config, bus, log);
  pmapdMetrics(metrics, node);
  metricsServer.notReady = () => (node.directoryConnected ? undefined : 'waits for the directory');
  const door = new DescriptorDoor(join(config.socketDir, 'userfault.sock'));
  const pmap = pmapHandlers(node, door, nodeIndex);
  const dataspaces = dataspaceHandlers(node);
  server
    .add(PmapService, pmap)
    .add(DataspaceService, dataspaces)
    .add(TransferService, { ...transferHandlers(node), ...adoptHandler(node) });
  // The socket comes first: it refuses when another pmap manager of this node runs.
  await server.listen(`unix:${join(config.socketDir, 'pmapd.sock')}`);
  clearMemoryDir(config.memoryDir, log);
  const bound = await server.listen(config.listen);
  await node.join(config.advertise || bound, stopping);
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
  return async ({ atOnce }) => {
    server.setServing(false);
    metricsServer.notReady = () => 'stops';
    if (!atOnce && config.drainMs > 0) await node.drain(config.drainMs);
    endpoint.close();
    node.close();
    // What has left serves nobody any more.
    await server.drain(node.isLeaving ? 100 : 1_000);
    door.close();
    await bus.close();
    await metricsServer.close();
  };
}
