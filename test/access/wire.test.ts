/**
 * Every first message between two services, of one that speaks another version of the wire: by a caller with the right
 * identity, at the door of a real service. It is refused with a line that says which side is older, and everything goes on.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Bus } from '@odonata/bus/bus.ts';
import { keyOf, storedJson } from '@odonata/bus/stored.ts';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { HandOverService } from '@odonata/proto/pmap/v1/handover';
import { PmapService, TransferService } from '@odonata/proto/pmap/v1/pmap';
import { EndpointKind, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { ControlService } from '@odonata/proto/vkernel/v1/vkernel';
import { openChannel, openStream } from '@odonata/rpc/client.ts';
import { codeName } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ElectionBuckets } from '../../services/cohd/election-buckets.ts';
import { natsFileOf } from '../../services/vkctl/cluster/nats-users.ts';
import { TestCluster, until } from '../cluster/cluster.ts';
import { identityIn, vkernelTokenIn } from '../cluster/identities.ts';

const NODE = 'node1';
/** Later than any start of the cluster's own replica, which so heeds nothing that is said here. */
const LATER = 10n ** 9n;

let cluster: TestCluster;
let sockets: string;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 1 });
  sockets = join(cluster.record.plan.runtimeDir, NODE);
});
afterAll(async () => await cluster?.down());

type Wire = { oldest: number; newest: number; release: string } | undefined;
type Stream = Parameters<typeof openStream>[0];

interface Door {
  /** Whose door it is, as its refusal names it. */
  readonly of: string;
  readonly method: Stream;
  address(): string;
  /** Whose identity the caller shows; undefined: a virtual kernel's token. */
  readonly by: string | undefined;
  first(wire: Wire): unknown;
}

const port = (service: 'cohd' | 'pmapd' | 'syslinkd'): string =>
  `127.0.0.1:${cluster.record.plan.ports[service][0]}`;
const socket = (...path: string[]): string => `unix:${join(sockets, ...path)}`;

const DOORS: readonly Door[] = [
  {
    ...{ of: 'syslinkd', method: RouterService.method.attach, by: 'pmapd/node1' },
    address: () => port('syslinkd'),
    first: (wire) => ({
      frames: [
        {
          frame: {
            case: 'register',
            value: { name: 'node1/pmapd', kind: EndpointKind.PMAP, node: NODE, session: 1n, wire },
          },
        },
      ],
    }),
  },
  {
    ...{ of: 'cohd', method: DirectoryService.method.hold, by: 'pmapd/node1' },
    address: () => port('cohd'),
    first: (wire) => ({
      events: [
        {
          event: {
            case: 'hello',
            value: { node: NODE, incarnation: 1n, transferAddress: '127.0.0.1:1', sentMs: 1n, wire },
          },
        },
      ],
    }),
  },
  {
    ...{ of: 'pmapd', method: TransferService.method.deliver, by: 'pmapd/*' },
    address: () => port('pmapd'),
    first: (wire) => ({ run: { dataspace: 1n, firstPage: 0, pageCount: 1 }, zero: true, state: 2, wire }),
  },
  {
    ...{ of: 'pmapd', method: HandOverService.method.succeed, by: 'pmapd/node1' },
    address: () => socket('handover.sock'),
    first: (wire) => ({
      event: { case: 'hello', value: { node: NODE, shards: 64, form: 99, door: join(sockets, 'd'), wire } },
    }),
  },
  {
    ...{ of: 'pmapd', method: PmapService.method.session, by: undefined },
    address: () => socket('vkernels', 'pmapd.sock'),
    first: (wire) => ({
      events: [
        { event: { case: 'hello', value: { name: 'root/w', userfaultToken: randomBytes(16), wire } } },
      ],
    }),
  },
  {
    ...{ of: 'vkerneld', method: ControlService.method.attach, by: undefined },
    address: () => socket('vkernels', 'vkerneld.sock'),
    first: (wire) => ({ event: { case: 'hello', value: { name: 'w', wire } } }),
  },
];

async function refusalOf({ method, address, by, first }: Door, wire: Wire): Promise<string> {
  const { plan } = cluster.record;
  const about = { node: NODE, name: 'w', user: 'root', sockets: [address()] };
  const [folder, token] = by
    ? [await identityIn(plan, by), undefined]
    : [undefined, await vkernelTokenIn(plan, about)];
  const channel = openChannel(address(), { folder });
  try {
    return await new Promise<string>((resolve) => {
      const stream = openStream(method, channel, {
        ...(token && { token }),
        signal: AbortSignal.timeout(20_000),
      });
      stream.on('data', () => {});
      stream.on('error', () => {});
      stream.once('status', ({ code, details }) => resolve(`${codeName(code)}: ${details}`));
      stream.write(first(wire) as never);
    });
  } finally {
    channel.close();
  }
}

describe.each(DOORS.map((door) => [door.method.parent.name, door.method.name, door] as const))(
  '%s.%s',
  (_, __, door) => {
    it('one that says nothing of versions is older', async () => {
      const line = await refusalOf(door, undefined);
      expect(line).toMatch(
        /^FAILED_PRECONDITION: .*speaks wire version 1, this \w+ 2: .* is older; upgrade it \(docs\/upgrade\.md\)$/,
      );
      expect(line).toContain(`this ${door.of} 2`);
    });

    it('one that speaks later ones only is told to wait for this one', async () => {
      const line = await refusalOf(door, { oldest: 9, newest: 10, release: '9.0.0' });
      expect(line).toContain(
        `speaks wire version 9 to 10, this ${door.of} 2: this ${door.of} is older; upgrade it (docs/upgrade.md)`,
      );
    });
  },
);

it.each([
  ['newer', { oldest: 9, newest: 9 }, 'other speaks wire version 9, this cohd 2: this cohd is older'],
  ['older', undefined, 'other speaks wire version 1, this cohd 2: other is older'],
])(
  'of two replicas, one %s, the later to come gives way, unless the other is dead',
  async (_, wire, line) => {
    const { plan } = cluster.record;
    const bus = await Bus.connect({
      ...{
        url: `nats://127.0.0.1:${plan.ports.nats}`,
        cluster: plan.cluster,
        name: 'later',
        log: silentLog(),
      },
      credentials: natsFileOf(plan, 'cohd', 'cohd'),
    });
    const replicas = await bus.bucket('replicas');
    const shardKeys = await bus.bucket('shards');
    const beat = {
      address: '127.0.0.1:1',
      incarnation: LATER,
      standalone: false,
      ...(wire && { wire }),
    };
    const said: string[] = [];
    const later = new ElectionBuckets({
      ...{ bus, replicas, shardKeys, replica: 'later', incarnation: 2n * LATER },
      gate: new WireGate('cohd', silentLog()),
      onOutvoted: ({ message }) => said.push(message),
    });
    try {
      await replicas.put(keyOf('other'), storedJson(beat));
      const seen: string[] = [];
      await later.follow((event) => {
        if (event.type === 'peer') seen.push(event.name);
      });
      await until('a heartbeat is seen', async () => seen.includes('other'));
      expect(said, 'what a dead one left').toEqual([]);
      await replicas.put(keyOf('other'), storedJson(beat));
      await until('the later one gives way', async () => said.length > 0);
      expect(said[0]).toContain(`${line}; upgrade it (docs/upgrade.md)`);
    } finally {
      await replicas.purge(keyOf('other'));
      later.close();
      await bus.close();
    }
  },
);

it('what was refused harmed nobody: a program runs, and nothing was started anew', async () => {
  expect(await cluster.output(NODE, 'counter', ['after', 'atomic', '10'])).toContain('10');
  expect(cluster.record.services?.filter(({ restarts }) => restarts > 0)).toEqual([]);
});
