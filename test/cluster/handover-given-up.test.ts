// Hand-overs that take longer than a lease: nothing is lost, whether the next pmap manager takes over, hangs, or
// dies after the freeze; and vkctl says so.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { DEFAULT_SHARDS } from '@odonata/coherency/shard.ts';
import { HandOverService, type SucceedRequestSchema } from '@odonata/proto/pmap/v1/handover';
import { createClient } from '@odonata/rpc/client.ts';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { DescriptorDoor } from '@odonata/userfault/descriptor-door.ts';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { FORM } from '../../services/pmapd/handover/snapshot.ts';
import { tlsDirOf } from '../../services/vkctl/cluster/certificates.ts';
import { TestCluster, until } from './cluster.ts';
import type { Program } from './program.ts';

vi.setConfig({ testTimeout: 300_000 });

/** A hand-over is given up after longer than that: 2.5 s. Much less, and it ends by itself where the machine is busy. */
const LEASE_MS = 2_000;
const PAGES = '700';

let cluster: TestCluster;
/** Runs all the while on the node that hands over. */
let counter: Program;

beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 2, leaseMs: LEASE_MS });
  await cluster.output('node1', 'pattern', ['mine', PAGES, 'write', '5']);
  // Days of work: its word wraps round.
  counter = await cluster.start('node1', 'counter', ['kept', 'atomic', '4000000000000000']);
  await counter.pid;
}, 150_000);
afterAll(() => cluster.down(), 90_000);

/** Programs of both nodes see all that was there, and the one that ran goes on. */
async function expectNothingLost(): Promise<void> {
  for (const node of ['node1', 'node2'])
    expect(await cluster.json(node, 'pattern', ['mine', PAGES, 'check', '5'])).toMatchObject({
      wrong_pages: 0,
    });
  const seen = async () => (await cluster.json<{ seen: number }>('node2', 'counter', ['kept', 'read'])).seen;
  const before = await seen();
  await until('the counter goes on', async () => (await seen()) !== before);
  // What node2 took to read is the other one's again to hand over.
  await cluster.output('node1', 'pattern', ['mine', PAGES, 'write', '5']);
}

async function expectReplaced(): Promise<void> {
  const { pid } = cluster.service('node1/pmapd').process!;
  const { code, stderr } = await cluster.vkctl(['restart', 'node1/pmapd']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(cluster.service('node1/pmapd').process!.pid).not.toBe(pid);
}

/** Takes all that the pmap manager of node1 has, up to the end of its snapshot, and never says that it has it. */
class SilentSuccessor {
  readonly door: DescriptorDoor;
  private readonly client;
  private readonly abort = new AbortController();
  private readonly responses;

  constructor() {
    const socketDir = join(cluster.record.plan.runtimeDir, 'node1');
    const door = join(socketDir, `next-${randomBytes(2).toString('hex')}.sock`);
    this.door = new DescriptorDoor(door);
    const folder = new TlsFolder(tlsDirOf(cluster.record.plan, 'pmapd', 'node1'));
    this.client = createClient(HandOverService, `unix:${join(socketDir, 'handover.sock')}`, { folder });
    const { promise: copied, resolve: copy } = Promise.withResolvers<void>();
    this.copy = copy;
    async function* requests(): AsyncGenerator<MessageInitShape<typeof SucceedRequestSchema>> {
      const wire = wireSpoken();
      const value = {
        node: 'node1',
        shards: DEFAULT_SHARDS,
        form: FORM,
        door,
        atOnce: true,
        ahead: true,
        wire,
      };
      yield { event: { case: 'hello', value } };
      await copied;
      yield { event: { case: 'copied', value: {} } };
      await new Promise(() => {});
    }
    const { signal } = this.abort;
    this.responses = this.client.succeed(requests(), { signal })[Symbol.asyncIterator]();
  }

  private readonly copy: () => void;

  /** Until everything is frozen. */
  async frozen(): Promise<void> {
    for (;;) {
      const { value, done } = await this.responses.next();
      if (done) throw new Error('the stream ended');
      if (value.event.case === 'aheadEnd') this.copy();
      if (value.event.case === 'end') return;
    }
  }

  /** Until something is copied ahead. */
  async begun(): Promise<void> {
    await this.responses.next();
    await this.responses.next();
  }

  async nothingMore(): Promise<void> {
    await expect(this.responses.next()).rejects.toThrow(/given up.*goes on.*not done within/);
  }

  close(): void {
    this.abort.abort();
    this.client.close();
    this.door.close();
  }
}

test('the next one takes over: nothing is lost', async () => {
  await expectReplaced();
  await expectNothingLost();
});

describe('the pmap manager that runs goes on where the next one', () => {
  test('hangs after the freeze', async () => {
    const successor = new SilentSuccessor();
    await successor.frozen();
    await successor.nothingMore();
    successor.close();
    await expectNothingLost();
  });

  test('dies after the freeze', async () => {
    const successor = new SilentSuccessor();
    await successor.frozen();
    successor.close();
    await expectNothingLost();
  });

  test('ends: vkctl restart says so, and ends non-zero', async () => {
    const { pid } = cluster.service('node1/pmapd').process!;
    // Somebody else is at it, so the one of the supervisor is refused.
    const successor = new SilentSuccessor();
    await successor.begun();
    const { code, stderr } = await cluster.vkctl(['restart', 'node1/pmapd']);
    successor.close();
    expect(code).toBe(1);
    expect(stderr).toMatch(/node1\/pmapd was not replaced, and goes on: .*stands by already/);
    expect(cluster.service('node1/pmapd').process!.pid).toBe(pid);
    await expectNothingLost();
  });
});

test('it can be replaced after all of that', async () => {
  await expectReplaced();
  await expectNothingLost();
  const log = readFileSync(cluster.service('node1/pmapd').logFile, 'utf8');
  expect(log).not.toMatch(/is lost|did not answer|did not come back/);
  const { stdout } = await cluster.vkctl(['ds', 'ls']);
  expect(stdout.split('\n').slice(1).join('\n')).not.toMatch(/LOST/);
});
