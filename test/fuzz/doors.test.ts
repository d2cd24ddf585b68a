/**
 * Every door of every service of a real cluster, against callers with a right identity who say whatever chance makes: all
 * methods, all streams, raw bytes at every socket, descriptors' doors, the bus. No service ends, none grows, and a normal
 * program runs after it. `FUZZ_SEED=7` says again what a run said that printed `seed=7`; `make test-long` says a million
 * messages to each service, `FUZZ_MESSAGES=100000 FUZZ_ONLY=directory` so many to one.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, type DescMethod, type Message, toBinary } from '@bufbuild/protobuf';
import { Bus } from '@odonata/bus/bus.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import { DirectoryService, HoldRequestSchema, InvalidateSchema } from '@odonata/proto/coherency/v1/coherency';
import { EventService } from '@odonata/proto/event/v1/event';
import { HandOverService } from '@odonata/proto/pmap/v1/handover';
import {
  DataspaceService,
  DeliverRequestSchema,
  PmapService,
  SessionRequestSchema,
  TransferService,
} from '@odonata/proto/pmap/v1/pmap';
import { AttachRequestSchema, EndpointKind, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { ControlService, VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { WantedService } from '@odonata/proto/vkernel/v1/wanted';
import { VmspaceService } from '@odonata/proto/vmspace/v1/vmspace';
import { openChannel, openStream } from '@odonata/rpc/client.ts';
import { fromServiceError, type RpcError } from '@odonata/rpc/error.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { makeToken } from '@odonata/rpc/identity/token.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { knock } from '@odonata/userfault/descriptor-door.ts';
import { close } from '@odonata/userfault/libc.ts';
import { Userfault } from '@odonata/userfault/userfault.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { natsFileOf } from '../../services/vkctl/cluster/nats-users.ts';
import { TestCluster, until } from '../cluster/cluster.ts';
import { identityIn } from '../cluster/identities.ts';
import { LONG } from '../long.ts';
import { bytesOf, callAll, type Ends, type Fuzzed, sayAll } from './caller.ts';
import { grew, type Look, look, REST_MS, rested } from './growth.ts';
import { Heard } from './hostile-message.ts';
import { rawBytes } from './raw-bytes.ts';
import { SEED } from './seed.ts';

/** Whatever time it takes. */
const ALL_SAID = LONG || process.env.FUZZ_MESSAGES !== undefined;
/** To each service; `FUZZ_MESSAGES` says another number. */
const MESSAGES = Number(process.env.FUZZ_MESSAGES ?? (LONG ? 1_000_000 : 20_000));
/** Calls are dearer than messages of a stream. */
const CALLS = MESSAGES / 40;
const SAID = MESSAGES - CALLS;
/** Connections for descriptors that stay open at one time. */
const LINES = 16;

/** For all that is said, where a busy machine would take long. */
const SAY_MS = ALL_SAID ? Number.POSITIVE_INFINITY : 20_000;

let cluster: TestCluster;
let untilMs = 0;
const who: Record<string, TlsFolder> = {};
let vkernelToken = '';
const heard = new Heard();
let sockets = '';
let ports: TestCluster['record']['plan']['ports'];

beforeAll(async () => {
  console.log(`seed=${SEED}`);
  cluster = await TestCluster.up({ nodes: 1 });
  const { plan } = cluster.record;
  for (const name of [
    'admin/fuzz',
    'user/fuzz',
    'operator/fuzz',
    'viewer/fuzz',
    'pmapd/*',
    'cohd/fuzz',
    'vkerneld/node1',
    'syslinkd/fuzz',
  ])
    who[name] = await identityIn(plan, name);
  sockets = join(plan.runtimeDir, 'node1');
  ports = plan.ports;
  const nowMs = Date.now();
  const subject = { cluster: plan.cluster, role: Role.VKERNEL, name: 'node1/fuzz', user: 'fuzz', groups: [] };
  const audience = ['vkerneld', 'pmapd'].map((name) => `unix:${sockets}/vkernels/${name}.sock`);
  vkernelToken = makeToken(who['vkerneld/node1']!.identity, { audience, nowMs, lifeMs: 3_600_000, subject });
  // Dataspaces and a virtual kernel to speak about.
  await cluster.output('node1', 'counter', ['known', 'atomic', '10']);
});
afterAll(async () => await cluster?.down());

const tcp = (port: number | undefined): string => `127.0.0.1:${port}`;
const by = (name: string, address: string): Omit<Fuzzed, 'service'> => ({
  ...{ address, folder: who[name], heard, seed: SEED, untilMs },
});
const asVkernel = (address: string): Omit<Fuzzed, 'service'> => ({
  ...{ address, token: vkernelToken, heard, seed: SEED, untilMs },
});
const pidOf = (name: string): number => cluster.service(name).process!.pid;
const SERVICES = ['syslinkd', 'cohd', 'node1/pmapd', 'node1/vkerneld'] as const;

async function directory(part: number): Promise<Ends[]> {
  const address = tcp(ports.cohd[0]);
  // Of a node of its own: what is made by chance may take the place of an earlier one.
  let lives = 0;
  const hello = () =>
    Buffer.from(
      toBinary(
        HoldRequestSchema,
        create(HoldRequestSchema, {
          events: [
            {
              event: {
                case: 'hello',
                value: {
                  node: `fuzz${++lives % 50}`,
                  incarnation: BigInt(lives),
                  transferAddress: 'fuzz:1',
                  sentMs: 1n,
                  wire: wireSpoken(),
                },
              },
            },
          ],
        }),
      ),
    );
  return await Promise.all([
    callAll({ ...by('pmapd/*', address), service: DirectoryService }, (CALLS * part) / 3, ['Hold']),
    callAll({ ...by('admin/fuzz', address), service: DirectoryService }, (CALLS * part) / 3, ['Hold']),
    callAll({ ...by('admin/fuzz', address), service: EventService }, (CALLS * part) / 3),
    callAll({ ...by('admin/fuzz', address), service: WantedService }, (CALLS * part) / 10),
    callAll({ ...by('viewer/fuzz', address), service: DirectoryService }, (CALLS * part) / 10, ['Hold']),
    sayAll(by('pmapd/*', address), DirectoryService.method.hold, SAID * part, hello),
  ]);
}

async function pmap(part: number): Promise<Ends[]> {
  const address = tcp(ports.pmapd[0]);
  const session = `unix:${sockets}/vkernels/pmapd.sock`;
  const userfault = Userfault.create();
  const lines: number[] = [];
  const hello = () => {
    const token = randomBytes(16);
    // Memory files come on it.
    lines.push(knock(join(sockets, 'vkernels', 'userfault.sock'), token, userfault.fd));
    if (lines.length > LINES) close(lines.shift()!);
    const value = { name: 'fuzz/fuzz', userfaultToken: token, wire: wireSpoken() };
    const pid = BigInt(100_500 + Math.floor(Math.random() * 1_000));
    const create_ = { case: 'vmspaceCreate' as const, value: { pid, sizeBytes: 1n << 20n } };
    const open = { case: 'open' as const, value: { name: 'fuzzed', sizeBytes: 65_536n, vmspace: 1n } };
    const events = [
      { event: { case: 'hello' as const, value } },
      { request: 1n, event: create_ },
      { request: 2n, event: open },
    ];
    return Buffer.from(toBinary(SessionRequestSchema, create(SessionRequestSchema, { events })));
  };
  const deliver = () =>
    Buffer.from(
      toBinary(
        DeliverRequestSchema,
        create(DeliverRequestSchema, {
          ...{ run: { dataspace: 1n, pageCount: 1 }, zero: true, state: 2, wire: wireSpoken() },
        }),
      ),
    );
  try {
    return await Promise.all([
      callAll({ ...by('admin/fuzz', address), service: PmapService }, (CALLS * part) / 4, [
        'Session',
        'Faults',
      ]),
      callAll({ ...by('user/fuzz', address), service: DataspaceService }, (CALLS * part) / 4),
      callAll({ ...by('viewer/fuzz', address), service: DataspaceService }, (CALLS * part) / 20),
      callAll({ ...by('admin/fuzz', address), service: VmspaceService }, (CALLS * part) / 4),
      callAll({ ...by('user/fuzz', address), service: VmspaceService }, (CALLS * part) / 8),
      callAll({ ...by('operator/fuzz', address), service: EventService }, (CALLS * part) / 20),
      callAll({ ...by('pmapd/*', address), service: TransferService }, (CALLS * part) / 4, ['Deliver']),
      callAll(
        { ...by('pmapd/*', `unix:${sockets}/handover.sock`), service: HandOverService },
        (CALLS * part) / 20,
      ),
      sayAll(asVkernel(session), PmapService.method.session, (SAID * part) / 2, hello),
      sayAll(asVkernel(session), PmapService.method.faults, (SAID * part) / 4, () => undefined),
      sayAll(by('pmapd/*', address), TransferService.method.deliver, (SAID * part) / 4, deliver),
    ]);
  } finally {
    for (const line of lines) close(line);
    userfault.close();
  }
}

async function router(part: number): Promise<Ends[]> {
  const address = tcp(ports.syslinkd[0]);
  const registers = (kind: EndpointKind, name: string, node: string) => () =>
    Buffer.from(
      toBinary(
        AttachRequestSchema,
        create(AttachRequestSchema, {
          frames: [
            {
              frame: {
                case: 'register',
                value: { name, kind, node, session: BigInt(Date.now()), wire: wireSpoken() },
              },
            },
          ],
        }),
      ),
    );
  const { attach } = RouterService.method;
  const client = registers(EndpointKind.CLIENT, '', '');
  const node = registers(EndpointKind.PMAP, 'fuzz/pmapd', 'fuzz');
  return await Promise.all([
    callAll({ ...by('admin/fuzz', address), service: RouterService }, CALLS * part, ['Attach']),
    callAll({ ...by('viewer/fuzz', address), service: EventService }, (CALLS * part) / 20),
    sayAll(by('admin/fuzz', address), attach, (SAID * part) / 2, client),
    sayAll(by('pmapd/*', address), attach, (SAID * part) / 2, node),
  ]);
}

async function vkernels(part: number): Promise<Ends[]> {
  const address = tcp(ports.vkerneld[0]);
  const control = `unix:${sockets}/vkernels/vkerneld.sock`;
  return await Promise.all([
    callAll({ ...by('admin/fuzz', address), service: VkernelService }, (CALLS * part) / 2, ['Run']),
    callAll({ ...by('user/fuzz', address), service: VkernelService }, (CALLS * part) / 4),
    callAll({ ...by('operator/fuzz', address), service: VkernelService }, (CALLS * part) / 10, ['Run']),
    callAll({ ...by('admin/fuzz', address), service: EventService }, (CALLS * part) / 4),
    sayAll(asVkernel(control), ControlService.method.attach, SAID * part, () => undefined),
  ]);
}

/** Broadcasts, and records of the directory that no replica wrote, by those who may write them. */
async function bus(count: number): Promise<void> {
  const { plan } = cluster.record;
  const about = { url: `nats://127.0.0.1:${ports.nats}`, cluster: plan.cluster, log: silentLog() };
  const directory = await Bus.connect({
    ...about,
    name: 'fuzz',
    credentials: natsFileOf(plan, 'cohd', 'cohd'),
  });
  try {
    const row = bytesOf({ input: InvalidateSchema }, heard, SEED);
    const ids = [...heard.of('dataspace'), ...heard.of('id'), 1n].filter((id) => typeof id === 'bigint');
    for (let at = 0; at < count; at++) {
      directory.invalidate(ids[at % ids.length]!, row.next().value as Buffer);
      if (at % 500 === 499) await sleep(1);
    }
    for (const name of ['dataspaces', 'members', 'replicas', 'shards'])
      for (const text of [
        '',
        '{}',
        'null',
        '[]',
        '{"id":"x"}',
        '\u0000',
        '{"incarnation":{}}',
        '"'.repeat(1_000),
      ])
        for (const key of ['fuzz', 'fuzz.fuzz'])
          directory.nats.publish(`$KV.odonata-${plan.cluster}-${name}.${key}`, Buffer.from(text));
  } finally {
    await directory.close();
  }
}

/** What ended a pmap manager, and a replica of the directory: each ends its stream, with one line. */
it('a message that says nothing, or asks for what is not there in no mode, ends its stream', async () => {
  const { hold } = DirectoryService.method;
  const { deliver } = TransferService.method;
  const hello = {
    node: 'fuzz-a',
    incarnation: 1n,
    transferAddress: 'fuzz:1',
    sentMs: 1n,
    wire: wireSpoken(),
  };
  const held = (event: object) => [
    create(HoldRequestSchema, { events: [{ event: { case: 'hello', value: hello } }] }),
    create(HoldRequestSchema, { events: [{ event: event as never }] }),
  ];
  const run = { dataspace: 999_999n, firstPage: 0, pageCount: 1 };
  const delivered = (message: object) => [create(DeliverRequestSchema, { wire: wireSpoken(), ...message })];
  const cases: [DescMethod, number | undefined, Message[], string][] = [
    [deliver, ports.pmapd[0], delivered({}), 'run: missing'],
    [deliver, ports.pmapd[0], delivered({ run, zero: true }), 'state: 0 is none of'],
    [
      deliver,
      ports.pmapd[0],
      delivered({ run: { ...run, pageCount: 0 }, state: 2 }),
      'run.page_count: at least 1',
    ],
    [deliver, ports.pmapd[0], delivered({ run, state: 99 }), 'state: 99 is none of'],
    [
      hold,
      ports.cohd[0],
      held({ case: 'acquire', value: { run, mode: 0 } }),
      'events[0].acquire.mode: 0 is none of',
    ],
    [hold, ports.cohd[0], held({ case: 'acquire', value: {} }), 'events[0].acquire.run: missing'],
    [hold, ports.cohd[0], held({ case: 'ack', value: { run, kind: 0 } }), 'events[0].ack.kind: 0 is none of'],
    [hold, ports.cohd[0], held({ case: 'lock', value: { mode: 0 } }), 'events[0].lock.mode: 0 is none of'],
    [
      hold,
      ports.cohd[0],
      held({ case: 'report', value: { held: [{}] } }),
      'events[0].report.held[0].run: missing',
    ],
  ];
  const said = async (method: DescMethod, port: number | undefined, messages: Message[], as: string) => {
    const channel = openChannel(tcp(port), { folder: who[as] });
    const stream = openStream(method as typeof hold, channel);
    const failed = new Promise<RpcError>((resolve) => {
      stream.on('error', (error) => resolve(fromServiceError(error)));
    });
    stream.on('data', () => {});
    for (const message of messages) stream.write(message as never);
    const { message } = await failed;
    channel.close();
    return message;
  };
  for (const [method, port, messages, line] of cases)
    expect(await said(method, port, messages, 'pmapd/*')).toContain(`INVALID_ARGUMENT: ${line}`);
  // Of another node, by a certificate that is of one.
  who['pmapd/node7'] = await identityIn(cluster.record.plan, 'pmapd/node7');
  expect(await said(hold, ports.cohd[0], held({ case: 'interest', value: {} }), 'pmapd/node7')).toBe(
    'PERMISSION_DENIED: pmapd node7 is not the pmap manager of fuzz-a',
  );
  for (const name of SERVICES) expect(cluster.service(name).restarts).toBe(0);
});

it('whatever is said to it by whomever, no service ends or grows, and all go on', {
  timeout: 7_200_000,
}, async () => {
  const parts = {
    directory,
    pmap,
    router,
    vkernels,
    rawBytes: () => rawBytes(sockets, ports, 4),
    bus: (part: number) => bus(MESSAGES * part * 0.1),
  };
  const round = async (part: number): Promise<void> => {
    const run = Object.entries(parts).filter(([name]) =>
      (process.env.FUZZ_ONLY ?? name).split(',').includes(name),
    );
    await Promise.all(
      run.map(async ([name, said]) => {
        const startMs = performance.now();
        const ends = (await said(part)) ?? [];
        const tookMs = Math.round(performance.now() - startMs);
        console.log(`${name} ${tookMs} ms ${JSON.stringify(ends.map((each) => Object.fromEntries(each)))}`);
      }),
    );
  };
  // Code is compiled, and pools are filled, before it is looked at.
  untilMs = performance.now() + SAY_MS / 4;
  await round(0.1);
  if (ALL_SAID) await Promise.all(SERVICES.map((name) => rested(pidOf(name))));
  const before = new Map<string, Look>();
  for (const name of SERVICES) before.set(name, await look(pidOf(name)));
  untilMs = performance.now() + SAY_MS;
  await round(0.9);
  if (ALL_SAID) await Promise.all(SERVICES.map((name) => rested(pidOf(name))));
  for (const name of SERVICES) {
    const was = before.get(name)!;
    expect(pidOf(name), `${name} is the process that it was`).toBe(was.pid);
    expect(cluster.service(name).restarts, `${name} was not started again`).toBe(0);
    let now = was;
    const untilRestMs = performance.now() + REST_MS;
    do {
      await sleep(1_000);
      now = await look(was.pid);
    } while (grew(was, now, ALL_SAID).length > 0 && performance.now() < untilRestMs);
    console.log(name, JSON.stringify({ was, now }));
    expect(grew(was, now, ALL_SAID), `${name} has let go of what ended`).toEqual([]);
  }
  // Among what was said as an admin may be what the virtual kernel may have.
  const bounds = ['memory', 'cpus', 'processes', 'dataspaces', 'disk', 'descriptors'];
  const free = bounds.flatMap((name) => [`--${name}`, '0']);
  // It may have been removed, too, and what was said at the directory reaches its node when that looks.
  let tries = 0;
  await until('programs run', async () => {
    await cluster.vkctl(['vkernel', 'create', 'default', ...free]);
    const { code, stdout } = await cluster.run('node1', 'counter', [`after-${tries++}`, 'atomic', '1000']);
    if (code === 0) expect(JSON.parse(stdout.toString())).toMatchObject({ seen: 1_000 });
    return code === 0;
  });
});
