// Wires the pmap manager: a clean memory directory, or what another one left in it, the sockets of the node, the line to
// the directory.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Bus } from '@odonata/bus/bus.ts';
import { connectBus } from '@odonata/bus/config.ts';
import { claimNodeIndex } from '@odonata/bus/node-index.ts';
import { type Receiver, transferHandlers } from '@odonata/pmap/wire/arriving.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import { EventService } from '@odonata/proto/event/v1/event';
import { HandOverService } from '@odonata/proto/pmap/v1/handover';
import { DataspaceService, PmapService, TransferService } from '@odonata/proto/pmap/v1/pmap';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { VmspaceService } from '@odonata/proto/vmspace/v1/vmspace';
import { delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { type Caller, shownCaller } from '@odonata/rpc/identity/identity.ts';
import type { StopHow } from '@odonata/rpc/lifecycle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { createRpcServer, isListening } from '@odonata/rpc/server.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { startTracing } from '@odonata/rpc/trace/own.ts';
import { makeVkernelSockets } from '@odonata/rpc/vkernel-sockets.ts';
import { vkernelUids } from '@odonata/rpc/vkernel-uids.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { DescriptorDoor } from '@odonata/userfault/descriptor-door.ts';
import { startFixedSize } from '@odonata/userfault/sandbox/fixed-size.ts';
import type { PmapdConfig } from './config.ts';
import { dataspaceHandlers } from './dataspace-handlers.ts';
import type { FramePool } from './frames/frame-pool.ts';
import { clearMemoryDir } from './frames/leftovers.ts';
import { fitFrames, withTestBytes } from './frames/memory-dir.ts';
import { pmapHandlers } from './handlers.ts';
import { clearFrozen } from './handover/frozen-mark.ts';
import { lockNode } from './handover/node-lock.ts';
import { Predecessor } from './handover/predecessor.ts';
import { StandbyServer } from './handover/standby-server.ts';
import { clearDoors, handOverAddress, succeed } from './handover/successor.ts';
import { countingLimits } from './limit-of.ts';
import { pmapdMetrics } from './metrics.ts';
import { Node } from './node.ts';
import { vmspaceHandlers } from './vmspaces/handlers.ts';
import { adoptHandler } from './wire/adopt.ts';

/** How long another pmap manager of the node may hold its lock without an answer: while it starts, or ends. */
const LOCK_MS = 30_000;
const LOCK_POLL_MS = 2;
/** How long a virtual kernel may take to resume its session here; longer than it tries itself. */
const RESUME_MS = 15_000;

/** Where a pmap manager runs: as a process, or as a thread of one, for a cluster that lodges on its machine. */
export interface Host {
  /** Stops it as SIGTERM does. */
  stop(): void;
  /** The frames of the machine, once it is known how many it has. */
  pool(framesBytes: number): FramePool;
  /** It waits for another one of its node to hand over. */
  onStandingBy?(): void;
  /** It is the pmap manager of its node. */
  onNode?(node: Node): void;
  /** Resolves when it may take the place of another one. */
  readonly mayTakeOver?: Promise<void>;
}

/** Starts pmapd; the result stops it. */
export async function serve(
  configured: PmapdConfig,
  log: Logger,
  stopping: AbortSignal,
  host: Host,
): Promise<(how: StopHow) => Promise<void>> {
  const { node: name } = configured;
  await startTracing(configured, { service: 'pmapd', instance: `${name}/pmapd`, node: name, log });
  mkdirSync(configured.memoryDir, { recursive: true, mode: 0o700 });
  const config = fitFrames(withTestBytes(configured), log);
  const pool = host.pool(config.framesBytes);
  await host.mayTakeOver;
  startFixedSize((reason) =>
    log.warn({ reason }, 'a virtual kernel that was taken over could cut memory files under others'),
  );
  mkdirSync(config.socketDir, { recursive: true, mode: 0o700 });
  const sockets = makeVkernelSockets(config.socketDir, config.vkernelDir);
  const guests =
    config.vkernelUid > 0
      ? { first: config.vkernelUid, count: 1 }
      : vkernelUids(config.socketDir, config.vkernelUids);
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
    host.onStandingBy?.();
  };
  let door: DescriptorDoor | undefined;
  const gate = new WireGate('pmapd', log);
  let routers: SyslinkEndpoint | undefined;
  let handsOver = false;
  // While another pmap manager of the node runs, for that takes longer than all that comes after its end.
  const prepare = (node: Node) => {
    const { security, limits } = node;
    const server = createRpcServer({ name: 'pmapd', log, meter, security, limits });
    const pmap = pmapHandlers(node, () => door!, nodeIndex, gate);
    const dataspaces = countingLimits(node.limits, dataspaceHandlers(node));
    const vmspaces = countingLimits(node.limits, vmspaceHandlers(node));
    server
      .add(PmapService, pmap)
      .add(DataspaceService, dataspaces)
      .add(VmspaceService, vmspaces)
      .add(EventService, node.events.handlers())
      .add(TransferService, { ...transferHandlers(receiverOf(node), gate), ...adoptHandler(node) })
      .complete();
    // Virtual kernels reach what is for them, and nothing else.
    const inner = createRpcServer({
      name: 'pmapd for virtual kernels',
      log,
      meter,
      security,
      limits,
      guests,
    });
    inner.add(PmapService, pmap).add(DataspaceService, dataspaces).complete();
    const predecessor = new Predecessor({
      ...{ node, socketDir: config.socketDir, shards: config.shards, log },
      onHandingOver: (begins) => {
        handsOver = begins;
        if (!begins) endUnresumedLater(node);
      },
      stop: () => host.stop(),
    });
    const succession = createRpcServer({ name: 'pmapd for its successor', log, security });
    succession.add(HandOverService, predecessor.handlers()).complete();
    return { node, server, inner, pmap, dataspaces, vmspaces, predecessor, succession };
  };
  const manager = await becomeManager({ ...config, nodeIndex }, bus, {
    log,
    stopping,
    onStandingBy,
    prepare,
    pool,
  });
  const { node, pausedAtMs, unlock, server, inner, pmap, dataspaces, vmspaces } = manager;
  const { predecessor, succession } = manager;
  await standby.stop();
  host.onNode?.(node);
  pmapdMetrics(metrics, node, bus);
  notReady = () =>
    handsOver
      ? 'hands over'
      : node.line.connected
        ? routers?.refusal
        : (node.line.directories?.refusal ?? 'waits for the directory');
  clearDoors(config.socketDir);
  clearFrozen(config.socketDir);
  await inner.listen(`unix:${sockets.pmap}`);
  // After the socket above: virtual kernels that move take the door for the sign that somebody answers there.
  door = new DescriptorDoor(sockets.userfault, guests, (who, reason) =>
    node.limits.count('door', who, reason),
  );
  await server.listen(`unix:${join(config.socketDir, 'pmapd.sock')}`);
  // Where another one handed over, virtual kernels wait: it can wait longer than they.
  if (pausedAtMs === undefined) clearMemoryDir(config.memoryDir, log, node.files());
  // The directory may come first where others know the address already.
  const known = config.advertise || (/:0$/.test(config.listen) ? '' : config.listen);
  const joined = pausedAtMs === undefined || known === '' ? undefined : node.line.join(known, stopping);
  const bound = await server.listen(config.listen);
  await (joined ?? node.line.join(config.advertise || bound, stopping));
  if (pausedAtMs !== undefined)
    void tellTakeOver(node, pausedAtMs, log).then(() => {
      if (!handsOver && !node.isStopping) clearMemoryDir(config.memoryDir, log, node.files());
    });
  await succession.listen(handOverAddress(config.socketDir));
  const endpoint = attachSyslink({
    address: config.syslink,
    name: `${config.node}/pmapd`,
    kind: EndpointKind.PMAP,
    node: config.node,
    nodeIndex,
    ...{ log, meter, security: node.security },
  });
  routers = endpoint;
  endpoint.serve(PmapService, pmap);
  endpoint.serve(DataspaceService, dataspaces);
  endpoint.serve(VmspaceService, vmspaces);
  endpoint.serve(EventService, node.events.handlers());
  return async ({ atOnce }) => {
    server.setServing(false);
    notReady = () => 'stops';
    if (predecessor.isOver || (!atOnce && (await predecessor.handOver()))) {
      // Its sockets are free, and then its lock: that is what the successor waits for, and not for the end of all threads.
      await Promise.all([server.drain(0), inner.drain(0), succession.drain(0)]);
      door?.close();
      unlock();
      node.letGo();
      endpoint.close();
      return;
    }
    if (!atOnce && config.drainMs > 0) await node.drain(config.drainMs);
    endpoint.close();
    node.close();
    // What has left serves nobody any more.
    const drainMs = node.isLeaving ? 100 : 1_000;
    await Promise.all([server.drain(drainMs), inner.drain(drainMs)]);
    await succession.drain(0);
    door?.close();
    await bus.close();
    await metricsServer.close();
  };
}

/** Waits until this process is the pmap manager of its node: at once, or in the place of another one. */
async function becomeManager<T extends { node: Node }>(
  config: PmapdConfig,
  bus: Bus,
  how: {
    log: Logger;
    stopping: AbortSignal;
    onStandingBy: () => void;
    prepare: (node: Node) => T;
    pool: FramePool;
  },
): Promise<T & { unlock: () => void; pausedAtMs?: number }> {
  const { log, stopping, prepare, pool } = how;
  let prepared: T | undefined;
  const makeNode = (incarnation?: bigint) => {
    const node = new Node(config, bus, log, incarnation, pool);
    prepared = prepare(node);
    return node;
  };
  const inherited = await succeed({ config, makeNode, ...how });
  inherited?.take();
  const expectOurs = () => {
    if (inherited?.isOurs() === false)
      throw new RpcError(Code.Aborted, 'the hand-over was given up, and the other pmap manager went on');
  };
  const endMs = monotonicMs() + LOCK_MS;
  let unlock = lockNode(config.socketDir);
  for (; unlock === undefined; unlock = lockNode(config.socketDir)) {
    // It ends, or it is another one that was faster, and answers soon.
    if (inherited === undefined && (await isListening(handOverAddress(config.socketDir))))
      return await becomeManager(config, bus, how);
    expectOurs();
    if (monotonicMs() > endMs)
      throw new RpcError(
        Code.AlreadyExists,
        `another pmap manager of ${config.node} runs, and does not answer (${config.socketDir}/pmapd.lock)`,
      );
    await delay(LOCK_POLL_MS, stopping);
  }
  expectOurs();
  if (inherited === undefined) makeNode();
  inherited?.close();
  return { ...prepared!, unlock, pausedAtMs: inherited?.pausedAtMs };
}

/** Says how long virtual kernels waited, once they need not wait any more. */
async function tellTakeOver(node: Node, pausedAtMs: number, log: Logger): Promise<void> {
  endUnresumedLater(node);
  const endMs = monotonicMs() + RESUME_MS;
  const waits = () => !node.line.connected || [...node.sessions].some(({ isAttached }) => !isAttached);
  while (waits() && monotonicMs() < endMs) await delay(1);
  node.takeOverMs = Math.max(1, Math.round(monotonicMs() - pausedAtMs));
  const about = { tookMs: node.takeOverMs, vkernels: node.sessions.size };
  log.info(about, 'goes on for another pmap manager');
}

function endUnresumedLater(node: Node): void {
  setTimeout(
    ownTurn({ timer: 'resume' }, () => node.endUnresumed()),
    RESUME_MS,
  ).unref();
}

function receiverOf({ memory, line, spoilt, traces, gatewayPages, security }: Node): Receiver {
  const takesFrom = (caller: Caller, dataspace: bigint): boolean => {
    if (caller.role !== Role.GATEWAY) return true;
    const bringing = gatewayPages.look(dataspace);
    if (bringing === 'may not') {
      const who = shownCaller(caller);
      security.refused('pages', who, `${who} brought pages of dataspace ${dataspace}, which it may not`, {
        dataspace: memory.get(dataspace)?.name,
      });
    }
    return bringing === 'may';
  };
  return { memory, line, spoilt, traces, takesFrom };
}
