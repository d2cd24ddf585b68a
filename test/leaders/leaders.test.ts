// Whom the next leader of a shard believes, whatever becomes of the notes that the last one made.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LEASE_MS, LeadersCluster, Replica, TestNode, until } from './cluster.ts';

let cluster: LeadersCluster;
let a: Replica;
let b: Replica;
let n: TestNode;
let m: TestNode;

beforeEach(async () => {
  cluster = new LeadersCluster();
  a = await Replica.start(cluster, { name: 'A', incarnation: 1n });
  b = await Replica.start(cluster, { name: 'B', incarnation: 2n });
  await a.leadAfter(undefined, 1n, 0n);
  n = new TestNode(cluster, 'N', 11n);
  m = new TestNode(cluster, 'M', 22n);
});
afterEach(() => cluster.close());

const takenIn = (replica: Replica, node: TestNode): boolean =>
  replica.service.holders.ofNode(node.name)?.welcomed === true;
const settled = (replica: Replica): boolean => replica.page(0)?.busy === false;

/** N has the only copy that may be written of page 0, and wrote it; M has one to read. */
async function shared(): Promise<void> {
  for (const node of [n, m]) node.connectTo(a, b);
  await until('both are taken in', () => [n, m].every((node) => takenIn(a, node) && takenIn(b, node)));
  await until('both are led', () => n.directories.allUsable && m.directories.allUsable);
  await share();
}

async function share(): Promise<void> {
  cluster.register('N', 11n);
  n.open(true);
  m.open(false);
  n.wrote();
  m.want('READ');
  await until('M reads', () => m.state() === 'SLAVE' && settled(a));
}

/** N hears nothing of A any more, and A nothing of N. */
function cutFromA(): void {
  n.connectTo(b);
}

const oneWriter = (): void => expect(n.reads() && m.state() === 'MODIFIED').toBe(false);

describe('a holder that was buried and did not hear it', () => {
  test.each(['crashes', 'moves the shard'])(
    'is not believed where the leader that took it in anew %s',
    async (how) => {
      await shared();
      cutFromA();
      await until('N is buried', () => a.page(0)?.owner === a.service.holders.ofNode('M')?.id);
      m.want('WRITE');
      await until('M may write', () => m.state() === 'MODIFIED');
      m.wrote();
      cluster.bucket.trouble = (what) => (what === 'put' ? 'keeps, and does not say so' : 'none');
      const notes = cluster.bucket.kept.size;
      n.connectTo(a, b);
      await until('N is noted at A again', () => cluster.bucket.kept.size > notes);
      if (how === 'crashes') await a.crash();
      else a.service.leave(0);
      await b.leadAfter(a, 2n, 1n);
      await until('B serves', () => !b.service.isRebuilding);
      await until('N was told', () => n.led.length === 2);
      expect(n.led).toEqual([false, true]);
      expect([n.state(), m.state()]).toEqual(['INVALID', 'MODIFIED']);
    },
  );

  test('is not believed where the leader that called it new had no time to say so', async () => {
    await shared();
    // A led once more, at epoch 5, after somebody else, and N had nothing by then; N knows A of epoch 1.
    a.service.leave(0);
    await b.leadAfter(a, 6n, 5n);
    await until('B serves', () => !b.service.isRebuilding);
    expect(n.led.at(-1)).toBe(true);
    expect(n.reads()).toBe(false);
  });

  test('goes on speaking, and the replica goes on', async () => {
    await shared();
    const { id, stream } = a.service.holders.ofNode('N')!;
    cutFromA();
    await until('N is buried', () => a.page(0)?.owner !== id);
    const value = { run: { dataspace: 1n, firstPage: 0, pageCount: 1 }, mode: 2, neededPages: 1 };
    expect(() => a.service.receive(stream!, { event: { case: 'acquire', value } } as never)).not.toThrow();
  });
});

describe('a leader that gave the shard up while a holder did not hear it', () => {
  test('is not believed when the holder is back there, and knows of no other one', async () => {
    await shared();
    n.connectTo(a);
    await until('N has no line to B', () => b.service.holders.ofNode('N') === undefined);
    const stream = a.service.holders.ofNode('N')!.stream!;
    a.service.streams.end(stream);
    a.service.streamClosed(stream);
    a.service.leave(0);
    await b.leadAfter(a, 2n, 1n);
    await until('N is back at A', () => takenIn(a, n) && a.service.holders.ofNode('N')?.stream !== undefined);
    m.want('WRITE');
    await until('M may write', () => m.state() === 'MODIFIED' || m.refused.length > 0);
    expect([n.reads(), n.led]).toEqual([false, [false]]);
  });
});

describe('a replica that is not found for a moment', () => {
  test('and is found again within the lease: its shards have the same leader, and nothing is void', async () => {
    await shared();
    n.connectTo(b);
    n.connectTo(a, b);
    await until('N is led again', () => n.led.length === 2 && n.directories.allUsable);
    expect([n.led, n.state(), n.reads()]).toEqual([[false, false], 'MASTER', true]);
  });
});

describe('a leader that dies before it has all reports', () => {
  test('gave nothing away: the notes of the one before it count', async () => {
    await shared();
    n.connectTo(a);
    await until('N has no line to B', () => b.service.holders.ofNode('N') === undefined);
    await a.crash();
    await b.leadAfter(a, 2n, 1n);
    expect(b.service.isRebuilding).toBe(true);
    const c = await Replica.start(cluster, { name: 'C', incarnation: 3n });
    await b.crash();
    await c.leadAfter(a, 3n, 1n);
    for (const node of [n, m]) node.connectTo(c);
    await until('C serves', () => !c.service.isRebuilding);
    // On a busy machine a lease may have to be renewed first.
    await until('both may read', () => n.reads() && m.reads());
    expect(n.state()).toBe('MASTER');
  });
});

describe('a burial that is not noted', () => {
  test.each(['refuses', 'neither keeps nor answers'] as const)(
    'gives nothing away, and the replica leads no more: the bucket %s',
    async (trouble) => {
      await shared();
      cluster.bucket.trouble = (what) => (what === 'purge' ? trouble : 'none');
      cutFromA();
      await until('N is dead for A', () => a.service.holders.ofNode('N') === undefined);
      m.want('WRITE');
      await until('A leads no more', () => a.steppedDown.length > 0);
      expect(a.service.led).toEqual([]);
      expect(m.state()).toBe('SLAVE');
      // Whoever leads next believes N, who has what it had.
      cluster.bucket.trouble = () => 'none';
      await b.leadAfter(a, 2n, 1n);
      await until('M may write', () => m.state() === 'MODIFIED');
      oneWriter();
    },
  );

  test('of a node that did not report: the shard is not served', async () => {
    await shared();
    await a.crash();
    cutFromA();
    n.connectTo();
    await until('N has no line to B', () => b.service.holders.ofNode('N') === undefined);
    cluster.bucket.trouble = (what) => (what === 'purge' ? 'refuses' : 'none');
    await b.leadAfter(a, 2n, 1n);
    m.want('WRITE');
    await until('B leads no more', () => b.steppedDown.length > 0);
    expect(m.state()).toBe('SLAVE');
  });
});

describe('a directory that is alone', () => {
  beforeEach(async () => {
    await cluster.close();
    cluster = new LeadersCluster();
    a = await Replica.start(cluster, { name: 'A', incarnation: 1n, alone: true });
    await a.leadAfter(undefined, 1n, 0n);
    n = new TestNode(cluster, 'N', 11n);
    m = new TestNode(cluster, 'M', 22n);
    for (const node of [n, m]) node.connectTo(a);
    await until('both are led', () => n.directories.allUsable && m.directories.allUsable);
    await share();
    cluster.bucket.trouble = () => 'refuses';
    n.connectTo();
    await until('N is dead for A', () => a.service.holders.ofNode('N') === undefined);
    m.want('WRITE');
  });

  test('waits for the note of a burial, and serves all else meanwhile', async () => {
    m.want('READ', 1);
    const own = cluster.register('M', 22n);
    m.open(true, own);
    m.wrote(0, own);
    await new Promise((resolve) => setTimeout(resolve, 2 * LEASE_MS));
    expect([m.state(), m.reads(0, own), a.steppedDown]).toEqual(['SLAVE', true, []]);
    cluster.bucket.trouble = () => 'none';
    await until('M may write', () => m.state() === 'MODIFIED');
  });

  test('starts anew, and believes whom it had not noted as dead: nobody has got anything of it', async () => {
    await a.crash();
    cluster.bucket.trouble = () => 'none';
    const again = await Replica.start(cluster, { name: 'A', incarnation: 3n, alone: true });
    await again.leadAfter(again, 2n, 1n);
    for (const node of [n, m]) node.connectTo(again);
    await until('it serves', () => !again.service.isRebuilding);
    await until('M may write', () => m.state() === 'MODIFIED');
    expect(n.led).toEqual([false, false]);
    oneWriter();
  });
});

describe('a holder that is not noted', () => {
  test('is not taken in, asks again, and is when that is possible', async () => {
    cluster.bucket.trouble = (what) => (what === 'put' ? 'refuses' : 'none');
    n.connectTo(a);
    await new Promise((resolve) => setTimeout(resolve, LEASE_MS / 2));
    expect(n.directories.anyConnected).toBe(false);
    cluster.bucket.trouble = () => 'none';
    await until('N is taken in', () => n.directories.allUsable);
  });
});

describe('a node that was declared dead and came back', () => {
  test('has lost what it made before, and what it makes now is whole to all', async () => {
    await shared();
    cutFromA();
    await until('N is buried', () => a.page(0)?.owner === a.service.holders.ofNode('M')?.id);
    n.connectTo(a, b);
    await until('N is back', () => takenIn(a, n) && n.directories.allUsable);
    m.want('READ', 1);
    await until('what only N had is lost', () => m.refused.includes('LOST'));
    const made = cluster.register('N', 11n);
    n.open(true, made);
    m.open(false, made);
    n.wrote(0, made);
    m.want('READ', 0, made);
    await until('M reads what N made', () => m.reads(0, made) || m.refused.length > 1);
    expect(m.refused).toEqual(['LOST']);
  });
});

describe('what a process of a replica noted before it died, and comes late,', () => {
  /** A's next process serves, N has the only copy that may be written, and A's last word of N comes only now. */
  async function serveAnew(): Promise<void> {
    expect(cluster.bucket.late).toHaveLength(1);
    await a.crash();
    cluster.bucket.trouble = () => 'none';
    a = await Replica.start(cluster, { name: 'A', incarnation: 3n });
    await a.leadAfter(a, 3n, 1n);
    await shared();
    for (const keep of cluster.bucket.late) expect(keep).toThrow('wrong last sequence');
  }

  async function isBelieved(): Promise<void> {
    a.service.leave(0);
    await b.leadAfter(a, 4n, 3n);
    await until('B serves', () => !b.service.isRebuilding);
    await until('N was told', () => n.directories.allUsable);
    expect([n.led.at(-1), n.state(), m.state()]).toEqual([false, 'MASTER', 'SLAVE']);
  }

  test('gives no node another life than the one it was taken in with since', async () => {
    cluster.bucket.trouble = () => 'keeps late, and does not say so';
    n.connectTo(a);
    await until('A notes N', () => cluster.bucket.late.length === 1);
    await serveAnew();
    await isBelieved();
  });

  test('buries no node that goes on with the life that was noted', async () => {
    n.connectTo(a);
    await until('A takes N in', () => takenIn(a, n));
    cluster.bucket.trouble = () => 'keeps late, and does not say so';
    n.connectTo();
    await until('A notes that N is dead', () => cluster.bucket.late.length === 1);
    await serveAnew();
    await isBelieved();
  });

  test('nor does a process that lives still', async () => {
    const before = a.members;
    a = await Replica.start(cluster, { name: 'A', incarnation: 3n });
    await before.remember('N', { incarnation: 11n, life: 1n }).then(
      () => expect.unreachable(),
      (error: Error) => expect(error.message).toContain('a later process of A has taken its place'),
    );
    expect(await before.takeOver()).toBeUndefined();
  });
});
