// Routers: endpoints and clients are simulated by lines of this process. Routers do not join, so each endpoint attaches
// to every router, and clients are spread over them.
import { join } from 'node:path';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { StdStream, VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { BoundedQueue } from '@odonata/rpc/queue.ts';
import type { Client, Handlers } from '@odonata/rpc/service.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { pickPorts } from '../../../services/vkctl/cluster/ports.ts';
import { NODE_FLAGS } from '../../../services/vkctl/supervisor/service-spec.ts';
import { findTool } from '../../../services/vkctl/supervisor/tool.ts';
import { within } from '../../bench/directory/holders.ts';
import { ServiceProcess } from '../../operate/service-process.ts';
import { ProcessMeter } from '../process-meter.ts';
import { Scrape } from '../prometheus.ts';
import type { Meter, Pattern, Place, ScaledService, Setting } from '../scaled-service.ts';
import { inTurnOrAtOnce, timedNs, together } from '../timed.ts';

const SYSLINKD = join(import.meta.dirname, '../../../services/syslinkd/main.ts');
/** Simulated supervisors of virtual kernels. */
const ENDPOINTS = 8;
/** Of each router. */
const CLIENTS = 4;
const PIECE_BYTES = 1024;
const READY_MS = 20_000;

interface Paced extends Pattern {
  kind: 'call' | 'circuit';
  /** Of each client. */
  depth: number;
  /** One router after another: the cores of this machine are not shared by them. */
  inTurn: boolean;
}

const DEPTH = 32;
/** Of all routers together. */
const OPERATIONS = 12_000;
const QUICK_OPERATIONS = 800;

const CALLS = { kind: 'call', operation: 'call' } as const;
const PATTERNS: readonly Paced[] = [
  {
    ...{ ...CALLS, name: `calls, ${CLIENTS * DEPTH} under way, router after router` },
    ...{ depth: DEPTH, warmUpsMost: 12, inTurn: true },
  },
  {
    ...{ ...CALLS, name: `calls, ${CLIENTS * DEPTH} under way at each router` },
    ...{ depth: DEPTH, warmUpsMost: 3, inTurn: false },
  },
  {
    ...{ ...CALLS, name: `calls, ${CLIENTS} under way, router after router` },
    ...{ depth: 1, warmUpsMost: 3, inTurn: true },
    cost: 'syslinkdCallUs',
  },
  {
    ...{
      name: `echoes of 1 KiB over ${CLIENTS} circuits, router after router`,
      kind: 'circuit',
      operation: 'echo',
    },
    ...{ depth: 1, warmUpsMost: 6, inTurn: true },
    cost: 'syslinkdPieceUs',
  },
];

export const syslinkd: ScaledService = {
  name: 'syslinkd',
  patterns: PATTERNS,
  beside: undefined,
  notes: [
    `${ENDPOINTS} simulated endpoints attach to every router, ${CLIENTS} simulated clients to each. A call: request and`,
    'reply, each through the router. An echo: a piece of a circuit there and one back.',
  ],
  async withPlace(setting, replicas, use) {
    const { progress } = setting;
    progress(`${replicas} routers start`);
    const ports = await pickPorts(replicas);
    const routers = ports.map(startRouter);
    try {
      const scrapes = await Promise.all(
        routers.map(async (router) => String((await router.line('metrics', READY_MS)).address)),
      );
      const meter = new ProcessMeter({
        pids: new Map(routers.map(({ child }, i) => [`syslinkd${i + 1}`, child.pid!])),
        beside: async () => [],
        work: () => Promise.all(scrapes.map(async (address) => workOf(await Scrape.of(address)))),
      });
      const addresses = ports.map((port) => `127.0.0.1:${port}`);
      return await withSyslinkLoad({ setting, addresses, meter }, use);
    } finally {
      await Promise.all(routers.map((router) => router.stop()));
    }
  },
};

/** Calls, and the pieces of circuits: there is one of those in each direction. */
export const workOf = (scrape: Scrape): number =>
  scrape.sum('odonata_syslinkd_requests_total') + scrape.sum('odonata_syslinkd_circuit_pieces_total') / 2;

function startRouter(port: number): ServiceProcess {
  const flags = ['--listen', `127.0.0.1:${port}`, '--metrics-listen', '127.0.0.1:0'];
  const command = [process.execPath, ...NODE_FLAGS, SYSLINKD, ...flags];
  const setpriv = findTool('setpriv');
  // Should we be killed, it ends.
  const wrapped = setpriv === undefined ? command : [setpriv, '--pdeathsig', 'TERM', '--', ...command];
  return new ServiceProcess(wrapped[0]!, wrapped.slice(1));
}

export interface SyslinkLoadOptions {
  setting: Setting;
  /** Of the routers. */
  addresses: string[];
  meter: Meter;
  /** As whom both sides come; without: the routers ask nobody. */
  folders?: { endpoint: TlsFolder; client: TlsFolder };
}

/** Endpoints and clients at routers, wherever these run. */
export async function withSyslinkLoad<T>(
  { setting, addresses, meter, folders }: SyslinkLoadOptions,
  use: (place: Place) => Promise<T>,
): Promise<T> {
  const attached: SyslinkEndpoint[] = [];
  const attach = (address: string, name: string): SyslinkEndpoint => {
    const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.VKERNEL;
    const endpoint = attachSyslink({
      address,
      name,
      kind,
      node: name.split('/')[0]!,
      nodeIndex: 1,
      folder: name === '' ? folders?.client : folders?.endpoint,
      log: silentLog(),
    });
    attached.push(endpoint);
    return endpoint;
  };
  try {
    for (const address of addresses)
      for (let i = 0; i < ENDPOINTS; i++) attach(address, nameOf(i)).serve(VkernelService, SIMULATED);
    const clients = addresses.map((address) =>
      Array.from({ length: CLIENTS }, (_, i) =>
        attach(address, '').client(VkernelService, { name: nameOf(i % ENDPOINTS) }),
      ),
    );
    for (const endpoint of attached) await endpoint.ready({ deadlineMs: READY_MS, signal: setting.signal });
    const run = (pattern: string): Promise<number[]> =>
      load(setting, clients, PATTERNS.find(({ name }) => name === pattern)!);
    const ready = async (pattern: string) => ({ run: () => run(pattern), end: async () => {} });
    return await use({ replicas: addresses.length, meter, ready });
  } finally {
    for (const endpoint of attached) endpoint.close();
  }
}

const nameOf = (endpoint: number): string => `simulated${endpoint}/vkerneld`;

/** What a simulated endpoint does: answers at once. */
const SIMULATED: Handlers<typeof VkernelService> = {
  listProcesses: () => ({ processes: [] }),
  async *run(requests) {
    for await (const { event } of requests)
      if (event.case === 'stdin')
        yield { event: { case: 'output', value: { stream: StdStream.OUT, data: event.value } } };
  },
};

async function load(
  { quick, signal }: Setting,
  clients: Client<typeof VkernelService>[][],
  { kind, depth, inTurn }: Paced,
): Promise<number[]> {
  const each = Math.floor((quick ? QUICK_OPERATIONS : OPERATIONS) / clients.length / CLIENTS);
  const samplesNs: number[] = [];
  const one = async (client: Client<typeof VkernelService>): Promise<void> => {
    samplesNs.push(await timedNs(() => client.listProcesses({})));
  };
  const atRouters = clients.map((ofRouter) => () => {
    const loads = ofRouter.map((client) =>
      kind === 'circuit' ? echoes(client, each, samplesNs) : together(each, depth, () => one(client)),
    );
    return Promise.all(loads);
  });
  await within({ signal, what: 'a round at the routers' }, inTurnOrAtOnce(atRouters, inTurn));
  return samplesNs;
}

/** Pieces over one circuit, one after another. */
async function echoes(
  client: Client<typeof VkernelService>,
  times: number,
  samplesNs: number[],
): Promise<void> {
  type Request = { event: { case: 'stdin'; value: Uint8Array } };
  const pieces = new BoundedQueue<Request>({ name: 'pieces', capacity: 1 });
  const answers = client.run(pieces)[Symbol.asyncIterator]();
  const value = new Uint8Array(PIECE_BYTES);
  for (let i = 0; i < times; i++) {
    samplesNs.push(
      await timedNs(async () => {
        await pieces.push({ event: { case: 'stdin', value } });
        await answers.next();
      }),
    );
  }
  pieces.close();
  await answers.next();
}
