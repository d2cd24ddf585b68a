// The services of a local cluster and the command line of each.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tlsDirOf } from '@odonata/client/local/identity-folder.ts';
import type { RoleName } from '@odonata/rpc/identity/identity.ts';
import { VKERNELS_LIMIT } from '@odonata/rpc/vkernel-uids.ts';
import { hiddenFolders } from '../cluster/allowed-folders.ts';
import { farAddress, joined, LOOPBACK, listenAddress, nearAddress } from '../cluster/hosts.ts';
import { homesDir, natsConfigFile, programsDir } from '../cluster/kept-store.ts';
import { natsFileOf } from '../cluster/nats-users.ts';
import type { ClusterPlan } from '../cluster/record.ts';

const SERVICES = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Of Node, for every service. Their garbage is large buffers for the most part, and by default each 64 MiB of those
 * start a full collection, however small the heap is: that took a third of the time of a stream of pages. What a service gives back at rest it
 * decides itself (libs/rpc/rest.ts): V8's own reducer of memory would throw compiled code away in a pause of eight seconds.
 */
export const NODE_FLAGS = [
  '--external-memory-accounted-in-global-limit',
  '--min-semi-space-size=16',
  '--initial-heap-size=256',
  '--no-memory-reducer',
];

export interface ServiceSpec {
  name: string;
  node?: string;
  address: string;
  /** `unix:/path` */
  socket?: string;
  command: string;
  args: string[];
  logFile: string;
}

export interface NodeFolders {
  socketDir: string;
  memoryDir: string;
}

export const nodeFolders = (plan: ClusterPlan, node: string): NodeFolders => ({
  socketDir: join(plan.runtimeDir, node),
  memoryDir: join(plan.memoryDir, node),
});

/** Of a router or a replica, for all others of this machine. */
const socketOf = (plan: ClusterPlan, name: string): string => join(plan.runtimeDir, `${name}.sock`);
/** Where others of this machine reach it. */
const doorOf = (plan: ClusterPlan, { name, port }: { name: string; port: number }): string =>
  plan.overTcp ? nearAddress(plan, port) : `unix:${socketOf(plan, name)}`;
/** Where services of all machines of the cluster reach it. */
const placeOf = (plan: ClusterPlan, replica: { name: string; port: number }): string =>
  plan.host === undefined ? doorOf(plan, replica) : farAddress(plan, replica.port);
const pmapdSocket = (plan: ClusterPlan, node: string): string =>
  join(nodeFolders(plan, node).socketDir, 'pmapd.sock');

/** For `--syslink`. */
export const routersOf = (plan: ClusterPlan): string =>
  plan.member?.routers ??
  replicas('syslinkd', plan.ports.syslinkd)
    .map((router) => doorOf(plan, router))
    .join();

/** `cohd` alone, else `cohd1`, `cohd2`, ...: each with its port. */
const replicas = (name: string, ports: readonly number[]): { name: string; port: number }[] =>
  ports.map((port, i) => ({ port, name: ports.length === 1 ? name : `${name}${i + 1}` }));

/** In the order in which they start; any order works, this one waits least. */
export function serviceSpecs(plan: ClusterPlan, tools: { node: string; natsServer: string }): ServiceSpec[] {
  const logFile = (name: string): string => join(plan.stateDir, 'logs', `${name.replaceAll('/', '.')}.log`);
  const eventsFile = (name: string): string =>
    join(plan.stateDir, 'events', `${name.replaceAll('/', '.')}.jsonl`);
  const { ports } = plan;
  const syslink = routersOf(plan);
  const nats = plan.member?.nats ?? nearAddress(plan, ports.nats);
  const { traceOtlp, traceSample } = plan;
  const common = [
    ...['--log-level', plan.logLevel],
    ...(traceOtlp ? ['--trace-otlp', traceOtlp] : []),
    ...(traceSample === undefined ? [] : ['--trace-sample', String(traceSample)]),
  ];
  const natsDir = join(plan.stateDir, 'nats');
  const cluster = [
    ...['--nats', nats, '--cluster', plan.member?.cluster ?? plan.cluster, '--syslink', syslink],
    ...(plan.member === undefined ? ['--nats-dir', natsDir] : []),
  ];

  const natsServer: ServiceSpec = {
    name: 'nats',
    address: nats,
    command: tools.natsServer,
    args: `-a ${plan.listenHost ?? plan.host ?? LOOPBACK} -p ${ports.nats} -c`
      .split(' ')
      .concat(natsConfigFile(plan.stateDir)),
    logFile: logFile('nats'),
  };
  // Machines come to the door, and people by a router.
  const hasSocket = (name: RoleName, node?: string) => node === undefined && !plan.overTcp && name !== 'door';
  const service = (
    name: RoleName,
    port: number,
    args: string[],
    node?: string,
    as: string = name,
  ): ServiceSpec => ({
    name: node ? `${node}/${name}` : as,
    node,
    address: isFar(name) ? nearAddress(plan, port) : joined(LOOPBACK, port),
    socket: hasSocket(name, node) ? `unix:${socketOf(plan, as)}` : undefined,
    command: tools.node,
    args: [
      ...NODE_FLAGS,
      join(plan.servicesDir ?? SERVICES, name === 'door' ? 'vkctl/door' : name, 'main.ts'),
      '--listen',
      isFar(name) ? listenAddress(plan, port) : joined(LOOPBACK, port),
      ...(hasSocket(name, node) ? ['--socket', socketOf(plan, as)] : []),
      ...(plan.insecure ? [] : ['--tls-dir', tlsDirOf(plan, name, node ?? as)]),
      ...common,
      '--events-file',
      eventsFile(node ? `${node}/${name}` : as),
      ...args,
    ],
    logFile: logFile(node ? `${node}/${name}` : as),
  });

  const natsAs = (role: 'cohd' | 'pmapd', name: string): string[] =>
    plan.insecure
      ? []
      : [
          ...['--nats-credentials', natsFileOf(plan, role, name)],
          ...(plan.host === undefined ? [] : ['--nats-ca', join(tlsDirOf(plan, role, name), 'ca.crt')]),
        ];

  // One alone goes on while NATS is away.
  const alone = ports.cohd.length === 1 ? ['--standalone'] : [];
  const quota = plan.userDataspaces ? ['--user-dataspaces', String(plan.userDataspaces)] : [];
  const lease = plan.leaseMs ? ['--lease-ms', String(plan.leaseMs)] : [];
  const specs = [
    ...(plan.member === undefined ? [natsServer] : []),
    ...replicas('syslinkd', ports.syslinkd).map(({ name, port }) =>
      service('syslinkd', port, [], undefined, name),
    ),
    ...replicas('cohd', ports.cohd).map(({ name, port }) =>
      service(
        'cohd',
        port,
        [
          ...cluster,
          ...natsAs('cohd', name),
          ...lease,
          ...quota,
          '--replica',
          name,
          ...alone,
          '--advertise',
          placeOf(plan, { name, port }),
        ],
        undefined,
        name,
      ),
    ),
    ...(ports.door === undefined
      ? []
      : [service('door', ports.door, ['--state-dir', plan.stateDir, '--syslink', syslink])]),
  ];
  for (const [position, { name, index }] of plan.nodes.entries()) {
    const { socketDir, memoryDir } = nodeFolders(plan, name);
    const uids = plan.vkernelUids
      ? ['--vkernel-uids', String(plan.vkernelUids + VKERNELS_LIMIT * position)]
      : [];
    const node = ['--node', name, '--node-index', String(index), '--socket-dir', socketDir, ...uids];
    const frames = plan.framesBytes ? ['--frames-bytes', String(plan.framesBytes)] : [];
    const swap = plan.swapBytes ? ['--swap-bytes', String(plan.swapBytes), '--swap-dir', plan.swapDir!] : [];
    const most = String(plan.nodeVmspaces);
    const vmspaces = plan.nodeVmspaces ? ['--vmspaces', most, '--node-vmspaces', most] : [];
    const store = plan.storeBytes ? ['--store-bytes', String(plan.storeBytes)] : [];
    const directory = [
      ...nearDirectories(plan).flatMap((address) => ['--directory', address]),
      '--advertise',
      pmapdPlace(plan, name, ports.pmapd[position]!),
      '--memory-dir',
      memoryDir,
      ...frames,
      ...swap,
      ...vmspaces,
      ...store,
    ];
    specs.push(
      service(
        'pmapd',
        ports.pmapd[position]!,
        [...node, ...directory, ...cluster, ...natsAs('pmapd', name)],
        name,
      ),
    );
    const allow = [
      ...plan.allowDirs.flatMap((folder) => ['--allow-dir', folder]),
      ...['--home-dir', homesDir(plan), '--programs-dir', programsDir(plan)],
      ...hiddenFolders(plan).flatMap((folder) => ['--hide-dir', folder]),
      ...(plan.allowListen ?? []).flatMap((place) => ['--allow-listen', place]),
      ...(plan.allowConnect ?? []).flatMap((place) => ['--allow-connect', place]),
      ...(plan.allowUnconfined ?? []).flatMap((layer) => ['--allow-unconfined', layer]),
      ...(plan.unconfined ? ['--unconfined'] : []),
      ...(plan.parkAfterMs === undefined ? [] : ['--park-after-ms', String(plan.parkAfterMs)]),
    ];
    specs.push(
      service('vkerneld', ports.vkerneld[position]!, [...node, '--syslink', syslink, ...allow], name),
    );
  }
  return specs;
}

/** Services that other machines reach, where the cluster has an address. */
const isFar = (role: RoleName): boolean => role !== 'vkerneld';

/** Replicas of the directory. */
export const directoriesOf = (plan: ClusterPlan): string[] =>
  plan.member?.directories ?? replicas('cohd', plan.ports.cohd).map((replica) => placeOf(plan, replica));

/** The same for nodes of the machine where they are, which may not reach what others reach it by. */
export const nearDirectories = (plan: ClusterPlan): string[] =>
  plan.member === undefined && plan.host !== undefined
    ? plan.ports.cohd.map((port) => nearAddress(plan, port))
    : directoriesOf(plan);

/** Where other nodes reach a pmap manager. */
function pmapdPlace(plan: ClusterPlan, node: string, port: number): string {
  if (plan.host !== undefined) return farAddress(plan, port);
  return plan.overTcp ? nearAddress(plan, port) : `unix:${pmapdSocket(plan, node)}`;
}

/** Where a gateway on this machine takes pages of the nodes of its cluster. */
export const pagesDoor = (plan: ClusterPlan): string => joined(plan.host ?? LOOPBACK, 0);

/** Where people and other machines reach the routers: host:port each, with commas between. */
export const routerPortsOf = (plan: ClusterPlan): string =>
  plan.member?.routers ?? plan.ports.syslinkd.map((port) => farAddress(plan, port)).join();

/** All that need a certificate. */
export const certified = (plan: ClusterPlan): [RoleName, string][] => [
  ...(['syslinkd', 'cohd'] as const).flatMap((role) =>
    replicas(role, plan.ports[role]).map(({ name }): [RoleName, string] => [role, name]),
  ),
  ...(plan.ports.door === undefined ? [] : ([['door', 'door']] as [RoleName, string][])),
  ...plan.nodes.flatMap(({ name }): [RoleName, string][] => [
    ['pmapd', name],
    ['vkerneld', name],
  ]),
];

/** Of the directory. */
export const replicaNames = ({ ports }: ClusterPlan): string[] =>
  replicas('cohd', ports.cohd).map(({ name }) => name);
