import { mkdir } from 'node:fs/promises';
import { Home } from '@odonata/processes/home.ts';
import { recordOf } from '@odonata/processes/record.ts';
import { EventService } from '@odonata/proto/event/v1/event';
import { PmapService } from '@odonata/proto/pmap/v1/pmap';
import { KeeperService } from '@odonata/proto/service/v1/service';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { PeerService } from '@odonata/proto/vkernel/v1/peer';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { withBackoff } from '@odonata/rpc/backoff.ts';
import { createClient } from '@odonata/rpc/client.ts';
import { EventLog } from '@odonata/rpc/events.ts';
import { ownFolder } from '@odonata/rpc/identity/own.ts';
import type { StopHow } from '@odonata/rpc/lifecycle.ts';
import { Limits } from '@odonata/rpc/limits.ts';
import { readLodgerBounds } from '@odonata/rpc/lodging/bounds.ts';
import { readShownLodgers } from '@odonata/rpc/lodging/shown.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { createRpcServer } from '@odonata/rpc/server.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { resumptionMetrics } from '@odonata/rpc/syslink/resumptions.ts';
import { ownTracer, startTracing } from '@odonata/rpc/trace/own.ts';
import { makeVkernelSockets, vkernelSocketsIn } from '@odonata/rpc/vkernel-sockets.ts';
import { vkernelUids } from '@odonata/rpc/vkernel-uids.ts';
import { DescriptorDoor } from '@odonata/userfault/descriptor-door.ts';
import { homeWithin } from '@odonata/userfault/sandbox/cgroup.ts';
import { hostWithout, lookAtHost } from '@odonata/userfault/sandbox/layers.ts';
import { Sandbox } from '@odonata/userfault/sandbox/sandbox.ts';
import { AllowedConnections } from './allowed-connections.ts';
import { AllowedDirectories } from './allowed-directories.ts';
import { AllowedListeners } from './allowed-listeners.ts';
import { keepAllowed } from './allowed-record.ts';
import { ClusterLooks } from './cluster-look.ts';
import type { VkerneldConfig } from './config.ts';
import { Connector } from './connector.ts';
import { controlServer } from './control.ts';
import { vkernelHandlers } from './handlers.ts';
import { HiddenFolders } from './hidden-folders.ts';
import { Homes } from './homes.ts';
import { LeftSessions } from './left-sessions.ts';
import { vkerneldMetrics } from './metrics.ts';
import { NamedConnections } from './names/named-connections.ts';
import { NamedListeners } from './names/named-listeners.ts';
import { VkernelNames } from './names/vkernel-names.ts';
import { Parking } from './parking.ts';
import { pmapdUses } from './pmapd-uses.ts';
import { type Process, ProcessTable } from './process-table.ts';
import { ProgramsFolder } from './programs-folder.ts';
import { ProgramsThere } from './programs-there.ts';
import { Ptys } from './pty/ptys.ts';
import { RecordFile } from './record.ts';
import { Asks } from './relatives/asks.ts';
import { FoldersElsewhere } from './relatives/folders-elsewhere.ts';
import { FoldersServed } from './relatives/folders-served.ts';
import { LostNodes, members } from './relatives/lost-nodes.ts';
import { OrphanedGroups } from './relatives/orphaned-groups.ts';
import { peerHandlers } from './relatives/peer-handlers.ts';
import { indexOfPid, Peers } from './relatives/peers.ts';
import { Placing } from './relatives/placing.ts';
import { Relatives } from './relatives/relatives.ts';
import { Spawns } from './relatives/spawns.ts';
import { keeperHandlers } from './services/keeper-handlers.ts';
import { Keeping } from './services/keeping.ts';
import { serviceMetrics } from './services/service-metrics.ts';
import { ServiceStore } from './services/store.ts';
import { Snapshots } from './snapshots.ts';
import type { Terminal } from './terminal.ts';
import { Terminals } from './terminals.ts';
import { keyOf } from './vkernel-child.ts';
import { VkernelUses } from './vkernel-uses.ts';
import { Vkernels } from './vkernels.ts';
import { TakenRecordFile } from './wanted/taken-record.ts';
import { WantedHere } from './wanted/wanted-here.ts';

export interface Vkerneld {
  readonly address: string;
  /** Ends the virtual kernels and all that runs in them; unless at once, what runs has its time to end by itself. */
  stop(how?: StopHow): Promise<void>;
  /** Ends nothing: the next vkerneld of the node takes the virtual kernels over. This process must end then. */
  leave(): Promise<void>;
}

/** It is on this machine. */
const STATS_MS = 2_000;
/** Instances of services end so, each with its own time, before the rest does. */
const LEAVE_MS = 3_000;

/** From the pmap manager of this node, as long as that takes: the two start in any order. */
async function askNodeIndex(address: string, log: Logger): Promise<number> {
  log.info({ address }, "asking the node's pmapd for the number of the node");
  const pmapd = createClient(PmapService, address);
  try {
    const ask = () => pmapd.getNodeStats({}, { waitForReady: true, deadlineMs: 5_000 });
    return (await withBackoff(ask)).nodeIndex;
  } finally {
    pmapd.close();
  }
}

/** The walls that this machine has; what it lacks is told. @throws UnconfinedError */
function sandboxOf(
  { socketDir, allowDir, allowUnconfined, unconfined, logLevel, controlGroup }: VkerneldConfig,
  { sockets, uid, log }: { sockets: readonly string[]; uid: number | undefined; log: Logger },
): Sandbox {
  const options = {
    ...{ socketDir, sockets, uid },
    // As they are when a virtual kernel starts.
    get allowDirs() {
      return allowDir;
    },
    allowUnconfined: new Set(allowUnconfined),
    logs: logLevel === 'debug' || logLevel === 'trace',
    onTrouble: (error: unknown) =>
      log.warn({ err: error }, 'a virtual kernel is not bounded by a control group'),
  };
  const found = lookAtHost(uid);
  const { cgroupHome } = found;
  const host =
    controlGroup === '' || cgroupHome === undefined
      ? found
      : { ...found, cgroupHome: homeWithin(cgroupHome, controlGroup) };
  const sandbox = new Sandbox(options, unconfined ? hostWithout(host, options.allowUnconfined) : host);
  for (const { name, mandatory, detail, fix } of sandbox.missing)
    log.warn(
      { layer: name, mandatory, detail, fix },
      'virtual kernels are less confined: a layer is missing',
    );
  return sandbox;
}

/** What the last supervisor knew of parents and children; nothing where that is torn. */
function homeOf(text: string, node: number, log: Logger): Home {
  const options = { node, nodeOf: indexOfPid };
  try {
    if (text !== '') return new Home({ ...options, record: recordOf(text) });
  } catch (error) {
    log.warn({ err: error }, 'the record of parents and children is torn; each process is without parent');
  }
  return new Home(options);
}

/** Runs a supervisor. `vkernelProgram`: what to start as a virtual kernel, for tests. */
export async function serveVkerneld(
  config: VkerneldConfig,
  log: Logger,
  vkernelProgram?: string,
): Promise<Vkerneld> {
  const { node, socketDir, logLevel } = config;
  await startTracing(config, { service: 'vkerneld', instance: `${node}/vkerneld`, node, log });
  await mkdir(socketDir, { recursive: true, mode: 0o700 });
  const sockets = makeVkernelSockets(socketDir);
  const ofPmapd = config.pmapdDir === '' ? sockets : vkernelSocketsIn(config.pmapdDir);
  const asked = config.pmapdDir === '' ? `unix:${socketDir}/pmapd.sock` : `unix:${ofPmapd.pmap}`;
  const nodeIndex = config.nodeIndex || (await askNodeIndex(asked, log));
  const range = vkernelUids(socketDir, config.vkernelUids);
  const sandbox = sandboxOf(config, {
    ...{ sockets: [...new Set([sockets.folder, ofPmapd.folder])], uid: range?.first, log },
  });
  const uids = sandbox.givesUids ? range : undefined;
  const file = new RecordFile(socketDir, log);
  const table = new ProcessTable({ nodeIndex, lastNumber: file.read().lastNumber });
  const place = {
    node,
    nodeIndex,
    socketDir,
    ofPmapd,
    logLevel,
    folder: ownFolder(),
    sandbox,
    program: vkernelProgram,
    traceSample: ownTracer() === undefined ? 0 : config.traceSample,
  };
  const events = new EventLog({ service: `${node}/vkerneld`, node, log, file: config.eventsFile });
  const security = new SecurityEvents(events);
  const connections = new AllowedConnections(config.allowConnect, node);
  let syslink: SyslinkEndpoint | undefined;
  const policy = new VkernelNames(file.read().names, keyOf);
  const namedListeners = new NamedListeners({ syslink: () => syslink, log });
  const named = new NamedConnections({
    ...{ node: nodeIndex, syslink: () => syslink, policy, listeners: namedListeners, log },
  });
  const connector = new Connector({ allowed: connections, security, log, named });
  const limits = new Limits(events);
  const looks = new ClusterLooks(() => syslink, log);
  const processesMax = () => (config.lodges ? readLodgerBounds(socketDir).processes : 0);
  const parts = { events, connector, limits, looks, names: policy, processesMax };
  const vkernels = new Vkernels({ place, table, file, uids, log, ...parts });
  const parking = new Parking({ vkernels, table, afterMs: config.parkAfterMs, log });
  const pmapd = createClient(PmapService, asked);
  const running = () => vkernels.list().map(({ key, record: { hostPid } }) => ({ key, hostPid }));
  const uses = new VkernelUses(running, pmapdUses(pmapd, vkernels));
  const peers = new Peers(nodeIndex, () => syslink);
  const home = homeOf(file.read().home, nodeIndex, log);
  const lostNodes = new LostNodes({ peers, syslink: () => syslink, log });
  const relatives = new Relatives({ home, table, vkernels, peers, lostNodes, log });
  const metrics = new Metrics('vkerneld');
  const meter = metrics.callMeter();
  vkerneldMetrics(metrics, { table, vkernels, uses, named });
  limits.countIn(metrics);
  events.countIn(metrics);
  security.countIn(metrics);
  // Before the socket below: who attaches there has knocked here.
  const door = new DescriptorDoor(sockets.directories, uids);
  const childrenOf = (pid: bigint) => home.childrenOf(pid);
  const snapshots = new Snapshots({ node, table, vkernels, childrenOf, limits });
  const control = controlServer(vkernels, door, { guests: uids, security, log });
  await control.listen(`unix:${sockets.control}`);
  const terminals = new Terminals<Terminal>();
  const hidden = new HiddenFolders([...config.hideDir, socketDir, config.pmapdDir, config.tlsDir]);
  const directories = new AllowedDirectories(config.allowDir, node, log, hidden);
  const listeners = new AllowedListeners(config.allowListen, node);
  table.onEnded = (pid) => {
    listeners.ended(pid);
    namedListeners.ended(pid);
    snapshots.ended(pid);
  };
  const { tools } = sandbox.host;
  if (tools === undefined) directories.withoutMounts();
  // Behind Landlock alone a folder is reached through the one that was allowed, and that would be all homes.
  const hasHomes = config.homeDir !== '' && tools !== undefined;
  const programs = config.programsDir === '' ? undefined : new ProgramsFolder(config.programsDir, node, log);
  const homes = hasHomes ? new Homes(config.homeDir, node, log, programs) : undefined;
  if (process.getuid!() !== 0 && tools !== undefined) {
    await directories.confine(tools.bwrap);
    await homes?.confine(tools.bwrap);
  }
  await keepAllowed(directories, config.allowDir, socketDir, log);
  const placing = new Placing({
    ...{ node, peers, home, running: () => table.running().length, syslink: () => syslink },
    stats: () => pmapd.getNodeStats({}, { deadlineMs: STATS_MS }),
  });
  const spawns = new Spawns({
    ...{
      node,
      programMemory: config.programMemory,
      table,
      vkernels,
      directories,
      listeners,
      relatives,
      placing,
      uses,
      homes,
      terminals,
    },
  });
  const elsewhere = new FoldersElsewhere({ node: nodeIndex, peers, table, log });
  const served = new FoldersServed({ vkernels, directories, homes });
  vkernels.onFolderRequest = (child, request) => elsewhere.receive(child, request);
  vkernels.onFolderResponse = (child, response) => served.receive(child, response);
  vkernels.onFoldersLost = (child) => {
    elsewhere.lost(child);
    served.lost(child);
    spawns.streams.lost(child.key);
  };
  const ptys: Ptys = new Ptys({
    ...{ node, vkernels },
    signalGroup: (asking, group, signal) => asks.signalGroup(asking, group, signal),
    groupsOf: (session) => relatives.home.groupsOf(session),
  });
  const asks = new Asks({ table, vkernels, relatives, peers, spawns, ptys, log });
  const orphans = new OrphanedGroups({
    ...{ table, relatives },
    signalGroup: (asking, group, signal) => asks.signalGroup(asking, group, signal),
  });
  const lookAtStrays = relatives.onChanged;
  relatives.onChanged = () => {
    lookAtStrays();
    orphans.look();
  };
  const sessions = new LeftSessions((asking, session, signal) =>
    asks.signalGroup(asking, session, signal, true),
  );
  const runPlace = {
    left: (process: Process) => sessions.left(process),
    ...{ node, relatives, programMemory: config.programMemory, directories, homes, listeners, connections },
    ...{ security, table, vkernels, uses, terminals, ptys, elsewhere, named },
    programsThere: new ProgramsThere(vkernels),
    ...{ lodges: config.lodges, lodgers: () => readShownLodgers(socketDir) },
  };
  const handlers = vkernelHandlers({ ...runPlace, snapshots });
  const server = createRpcServer({ name: 'vkerneld', log, meter, security }).add(VkernelService, handlers);
  server.add(EventService, events.handlers());
  const ofPeers = peerHandlers({ relatives, asks, spawns, placing, folders: served, ptys, named });
  server.add(PeerService, ofPeers);
  const store = new ServiceStore(() => syslink);
  const wanted = new WantedHere({
    ...{ node, quotas: vkernels.quotas, names: policy, directories, lodges: config.lodges, log },
    file: new TakenRecordFile(socketDir, log),
    changed(key) {
      vkernels.save();
      const child = vkernels.find(key);
      if (child === undefined) return;
      vkernels.bound(child);
      vkernels.tellLimits(child);
    },
  });
  const keeping = new Keeping({ place: runPlace, store, wanted, syslink: () => syslink, events, log });
  const ofServices = keeperHandlers({
    store,
    changed: () => keeping.hurry(),
    members: async () => (syslink === undefined ? undefined : members(syslink)),
  });
  server.add(KeeperService, ofServices);
  serviceMetrics(metrics, keeping);
  const address = await server.listen(config.listen);
  const attached = attachSyslink({
    address: config.syslink,
    name: `${node}/vkerneld`,
    kind: EndpointKind.VKERNEL,
    ...{ node, nodeIndex, log, meter, security },
  }).serve(VkernelService, handlers);
  attached.serve(EventService, events.handlers()).serve(PeerService, ofPeers);
  syslink = attached;
  attached.serve(KeeperService, ofServices);
  resumptionMetrics(metrics, attached.resumptions);
  let stopping = false;
  const notReady = () =>
    stopping
      ? 'stops'
      : attached.connected
        ? undefined
        : (attached.refusal ?? 'waits for the syslink router');
  const metricsServer = await serveMetrics({ listen: config.metricsListen, metrics, notReady, log });
  return {
    address,
    async leave() {
      keeping.close();
      parking.stop();
      log.info('leaves the virtual kernels to the next vkerneld');
      await file.settled();
    },
    async stop({ atOnce } = { atOnce: true }) {
      server.setServing(false);
      stopping = true;
      parking.stop();
      if (!atOnce && config.drainMs > 0) {
        const running = await vkernels.drain(config.drainMs);
        if (running > 0) log.warn({ running }, 'programs still run after the drain; ending them');
      }
      await keeping.leave(LEAVE_MS);
      uses.close();
      pmapd.close();
      await vkernels.stop();
      await sandbox.close();
      await file.settled();
      // What ended with the virtual kernels is on its way to the callers: let it arrive.
      await server.drain(500);
      relatives.close();
      attached.close();
      await control.drain(200);
      door.close();
      directories.close();
      homes?.close();
      await metricsServer.close();
    },
  };
}
