// Snapshots of programs, on a cluster of two nodes that somebody else starts: docs/snapshots.md says what is to hold.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectTo } from '@odonata/client/connection.ts';
import { Dataspaces } from '@odonata/client/dataspaces.ts';
import type { Program } from '@odonata/client/program.ts';
import { type ProgramOptions, Programs } from '@odonata/client/programs.ts';
import { Snapshots } from '@odonata/client/snapshots/snapshots.ts';
import type { SnapshotRequest, SnapshotResponse } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { expect, test } from 'vitest';
import { LONG } from '../long.ts';
import { commandsOf, runInShell } from '../operate/page-commands.ts';
import { type TestCluster, until } from './cluster.ts';
import { identityIn } from './identities.ts';

const ROOT = join(import.meta.dirname, '../..');
const PAGE_BYTES = 4_096;
/** Of the heap of what is snapshotted. */
const MIB = LONG ? 64 : 8;
const ROUNDS = 400;
const CLONES = LONG ? 100 : 8;
/** Its C library, its stack, what a module begins with. */
const OTHER_PAGES = 256;

/** A guest whose input ends when the test says so. */
class Guest {
  readonly program: Program;
  readonly #end: () => void;
  #text = '';

  private constructor(program: Program, end: () => void) {
    this.program = program;
    this.#end = end;
    // Where its line breaks, that is what a test sees of `program.exit`, if it looks.
    program.exit.catch(() => {});
    void this.#read().catch(() => {});
  }

  static async start(
    cluster: TestCluster,
    options: Omit<ProgramOptions, 'module'> & { module?: ProgramOptions['module'] },
  ): Promise<Guest> {
    const over = Promise.withResolvers<void>();
    async function* stdin(): AsyncGenerator<Uint8Array> {
      await over.promise;
      yield Buffer.from('over');
    }
    const module = options.module ?? (await cluster.moduleOf('warm'));
    const program = await new Programs(cluster.connection).run({
      name: 'warm',
      node: 'node1',
      ...options,
      module,
      stdin: stdin(),
    });
    return new Guest(program, over.resolve);
  }

  get pid(): bigint {
    return this.program.pid;
  }

  /** What a line says, once it is there. */
  async said(word: string): Promise<Record<string, number>> {
    const line = (): string | undefined =>
      this.#text
        .split('\n')
        .slice(0, -1)
        .find((each) => each.includes(`"${word}"`));
    await until(`${this.pid} says "${word}"`, () => line() !== undefined, 180_000).catch((error: Error) => {
      throw new Error(`${error.message}; it said ${this.#text}`);
    });
    // A sum is more than a number of JavaScript.
    return JSON.parse(line()!.replaceAll(/("sum"):(\d+)/g, '$1:"$2"')) as Record<string, number>;
  }

  async end(): Promise<number> {
    this.#end();
    return (await this.program.exit).code;
  }

  async #read(): Promise<void> {
    for await (const data of this.program.stdout) this.#text += Buffer.from(data).toString();
  }
}

/** The call itself, step by step: what a client does that does not do it as ours does. */
class Call {
  readonly #abort = new AbortController();
  readonly #done = Promise.withResolvers<void>();
  readonly #responses: AsyncIterator<SnapshotResponse>;

  constructor(cluster: TestCluster, pid: bigint, node = 'node1') {
    const { promise } = this.#done;
    async function* requests(): AsyncIterable<{ event: SnapshotRequest['event'] }> {
      yield { event: { case: 'begin', value: { pid, timeoutMs: 60_000 } as never } };
      await promise;
      yield { event: { case: 'done', value: {} as never } };
    }
    const call = cluster.connection.vkerneld(node).snapshot(requests(), { signal: this.#abort.signal });
    this.#responses = call[Symbol.asyncIterator]();
  }

  async held(): Promise<bigint> {
    const { value } = await this.#responses.next();
    expect(value?.event.case).toBe('held');
    return value!.event.value!.vmspace as bigint;
  }

  async released(): Promise<void> {
    this.#done.resolve();
    for (;;) {
      const { value, done } = await this.#responses.next();
      if (done) throw new Error('it ended before the program was let go');
      if (value.event.case === 'released') return;
    }
  }

  leave(): void {
    this.#abort.abort();
    this.#done.resolve();
  }
}

const refusal = (told: Promise<unknown>): Promise<RpcError> =>
  told.then(
    () => Promise.reject(new Error('it was not refused')),
    (error: unknown) => (RpcError.is(error) ? error : Promise.reject(error)),
  );

async function framesOf(cluster: TestCluster, node: string): Promise<{ own: number; shared: number }> {
  const on = cluster.connection.pmapd(node);
  const { vmspaces } = await on.listVmspaces({ pageSize: 1_000 });
  const { pagesShared } = await on.getNodeStats({});
  return {
    own: vmspaces.reduce((sum, { privatePages }) => sum + Number(privatePages), 0),
    shared: Number(pagesShared),
  };
}

export function snapshotCases(clusterOf: () => TestCluster): void {
  const snapshots = () => new Snapshots(clusterOf().connection, new Dataspaces(clusterOf().connection));
  const firstLineMs = async (
    options: Omit<ProgramOptions, 'module'> & { module?: ProgramOptions['module'] },
  ): Promise<number> => {
    const sentMs = performance.now();
    const guest = await Guest.start(clusterOf(), options);
    const first = options.module === undefined ? 'ready' : 'resumed';
    await guest.said(first);
    const tookMs = performance.now() - sentMs;
    expect(await guest.end()).toBe(0);
    return tookMs;
  };

  test('a snapshot of a program that waits: what is started from it begins there, on any node, and shares what it does not write', async () => {
    const cluster = clusterOf();
    const args = ['--mib', `${MIB}`, '--rounds', `${ROUNDS}`];
    const program = await Guest.start(cluster, { args });
    const { sum } = await program.said('ready');
    const taken = await cluster.vkctl(['snapshot', `${program.pid}`, 'warm', '--json']);
    expect({ ...taken, stdout: '' }).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(JSON.parse(taken.stdout)).toMatchObject({ name: 'warm', program: 'warm' });
    expect(JSON.parse(taken.stdout).pages - MIB * 256).toBeLessThan(OTHER_PAGES);
    // The program noticed nothing.
    expect(await program.end()).toBe(0);
    expect(await program.said('over')).toMatchObject({ sum });
    const listed = await cluster.vkctl(['snapshot', 'ls', '--json']);
    expect(JSON.parse(listed.stdout)).toMatchObject([{ name: 'warm', program: 'warm' }]);

    for (const node of ['node1', 'node2']) {
      const ran = await cluster.vkctl(['run', '-n', '--from', 'warm', '--node', node, 'a', 'b']);
      expect({ ...ran, stdout: ran.stdout.split('\n')[0] }).toEqual({
        code: 0,
        stdout: '{"resumed":1,"args":2}',
        stderr: '',
      });
      expect(ran.stdout).toContain(`"sum":${sum}`);
    }
    const { module } = await snapshots().open('warm');
    const onNode2 = { module, node: 'node2' };
    const coldMs = await firstLineMs({ args });
    const warmMs = [
      await firstLineMs({ module }),
      await firstLineMs({ module }),
      await firstLineMs({ module }),
    ];
    const shown = warmMs.map((ms) => ms.toFixed(0)).join(', ');
    console.log(
      `first line: ${coldMs.toFixed(0)} ms cold, ${shown} ms from its snapshot (${(coldMs / Math.min(...warmMs)).toFixed(1)} x)`,
    );
    // On a machine that does nothing else five times as fast at the least.
    expect(Math.min(...warmMs)).toBeLessThan(coldMs);

    const clones: Guest[] = [];
    while (clones.length < CLONES) {
      const some = Array.from({ length: Math.min(4, CLONES - clones.length) }, () =>
        Guest.start(cluster, { ...onNode2, args: ['wait'] }),
      );
      for (const each of await Promise.all(some)) clones.push(each);
    }
    for (const each of clones) expect(await each.said('sum')).toMatchObject({ sum });
    const has = await framesOf(cluster, 'node2');
    console.log(
      `${CLONES} of a heap of ${MIB} MiB: ${has.shared} pages of its image, ${has.own} of their own`,
    );
    expect(has.shared).toBeGreaterThan(MIB * 256 - 1);
    expect(has.shared).toBeLessThan(MIB * 256 + OTHER_PAGES);
    expect(has.own).toBeLessThan(CLONES * OTHER_PAGES);
    const writer = await Guest.start(cluster, { ...onNode2, args: ['write', 'wait'] });
    expect(await writer.said('sum')).toMatchObject({ sum });
    expect((await framesOf(cluster, 'node2')).own - has.own).toBeGreaterThan(MIB * 256 - 1);
    for (const each of [...clones, writer]) expect(await each.end()).toBe(0);
    // A clone that begins after all that begins with what the snapshot has.
    const late = await Guest.start(cluster, onNode2);
    expect(await late.said('sum')).toMatchObject({ sum });
    expect(await late.end()).toBe(0);
  });

  test('at odonata_snapshot(); clones of clones, and whatever is in the way, are refused with a line', async () => {
    const cluster = clusterOf();
    const asked = ['--mib', '1', '--rounds', '1'];
    const polling = await Guest.start(cluster, { args: [...asked, '--poll'] });
    const { sum } = await polling.said('ready');
    await snapshots().take(polling.pid, 'polled');
    expect(await polling.said('taken')).toMatchObject({ sum });
    const { module } = await snapshots().open('polled');
    const clone = await Guest.start(cluster, { module, args: ['wait'] });
    expect(await clone.said('sum')).toMatchObject({ sum });
    expect((await refusal(snapshots().take(clone.pid, 'again'))).details).toContain(
      'exports no odonata_resume',
    );
    expect((await refusal(snapshots().take(polling.pid, 'polled'))).details).toContain('is there already');
    expect(await clone.end()).toBe(0);
    expect(await polling.end()).toBe(0);
    expect((await refusal(snapshots().take(polling.pid, 'late'))).details).toContain('ended already');

    await new Dataspaces(cluster.connection).create('mapped', PAGE_BYTES);
    for (const [args, why] of [
      [['--file'], 'open, a file of /tmp'],
      [['--child'], 'it has 1 child'],
      [['--map', 'mapped'], 'it has 1 range of dataspaces mapped'],
      [['--lock', 'locked'], 'it has 1 lock'],
    ] as const) {
      const guest = await Guest.start(cluster, { args: [...asked, ...args] });
      await guest.said('ready');
      const { code, details } = await refusal(snapshots().take(guest.pid, 'none'));
      expect([code, details]).toEqual([Code.FailedPrecondition, expect.stringContaining(why)]);
      expect(await guest.end()).toBe(0);
    }
    const computing = await Guest.start(cluster, { args: [...asked, '--compute'] });
    await computing.said('ready');
    const late = await cluster.vkctl(['snapshot', `${computing.pid}`, 'none', '--timeout', '1']);
    expect(late).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/came to no point within 1 s .*\n$/),
    });
    // A person who is not its owner is told what of nobody's is told.
    const { plan, services } = cluster.record;
    const { address, socket = address } = services.find(({ name }) => name.startsWith('syslinkd'))!;
    const theirs = await connectTo(plan.cluster, socket, { folder: await identityIn(plan, 'user/bob') });
    const bobs = new Snapshots(theirs, new Dataspaces(theirs));
    expect((await refusal(bobs.take(computing.pid, 'bobs'))).code).toBe(Code.NotFound);
    expect(await bobs.list()).toEqual([]);
    theirs.close();
    await new Programs(cluster.connection).kill(computing.pid, 'SIGKILL');
    await computing.program.exit;
  });

  test('what is no snapshot, or spoilt, is said in a line', async () => {
    const cluster = clusterOf();
    const dataspaces = new Dataspaces(cluster.connection);
    await dataspaces.load('junk', Buffer.from('odonata snapshot\n{"version":1}'.padEnd(9_000, '\0')));
    for (const [name, why] of [
      ['junk', /dataspace "junk" is no snapshot: vkctl snapshot ls shows those that there are/],
      ['nothing', /no snapshot "nothing" that you may read/],
    ] as const) {
      const { code, stdout, stderr } = await cluster.vkctl(['run', '-n', '--from', name]);
      expect({ code: code! > 0, stdout, lines: stderr.trimEnd().split('\n').length }).toEqual({
        code: true,
        stdout: '',
        lines: 1,
      });
      expect(stderr).toMatch(why);
    }
    // Its header says of another module what it is.
    const bytes: Uint8Array[] = [];
    for await (const piece of dataspaces.save('polled')) bytes.push(piece);
    const forged = Buffer.concat(bytes);
    forged[forged.length - 1]! ^= 1;
    const text = forged.toString('latin1', 0, PAGE_BYTES).replace(/("sha256":")(.{8})/, '$1deadbeef');
    await dataspaces.load(
      'forged',
      Buffer.concat([Buffer.from(text, 'latin1'), forged.subarray(PAGE_BYTES)]),
    );
    const ran = await cluster.vkctl(['run', '-n', '--from', 'forged']);
    expect(ran.code).toBeGreaterThan(0);
    expect(ran.stderr).toMatch(/^vkctl: .*snapshot "forged" is spoilt.*\n$/);
    const removed = await cluster.vkctl(['snapshot', 'rm', 'junk', 'polled', '--json']);
    expect(JSON.parse(removed.stdout)).toEqual([{ name: 'polled', removed: true }]);
    expect(removed).toMatchObject({ code: 1, stderr: expect.stringContaining('"junk" is no snapshot') });
  });

  test('whoever goes away meanwhile, the program goes on; another pmap manager has its memory', async () => {
    const cluster = clusterOf();
    const guest = await Guest.start(cluster, { args: ['--mib', '2', '--rounds', '1'] });
    const { sum } = await guest.said('ready');
    const left = new Call(cluster, guest.pid);
    await left.held();
    left.leave();

    // It was let go: else another one would be refused.
    let held = new Call(cluster, guest.pid);
    await until('it can be held again', async () => {
      const vmspace = await held.held().catch((error: unknown) => {
        if (!RpcError.is(error, Code.FailedPrecondition)) throw error;
        held = new Call(cluster, guest.pid);
        return undefined;
      });
      return vmspace !== undefined;
    });
    expect((await refusal(new Call(cluster, guest.pid).held())).details).toContain('is being taken already');
    expect((await cluster.vkctl(['restart', 'node1/pmapd'])).code).toBe(0);
    await held.released();

    // The memory, as another pmap manager has it, and after it was read out.
    await cluster.vkctl(['pmap', 'flush', '--node', 'node1']);
    const { pages } = await snapshots().take(guest.pid, 'handed');
    expect(pages).toBeGreaterThan(2 * 256 - 1);

    const last = new Call(cluster, guest.pid);
    await last.held();
    await cluster.kill('node1/vkerneld');
    await expect(last.released()).rejects.toThrow();
    const { module } = await snapshots().open('handed');
    await cluster.well();
    const clone = await Guest.start(cluster, { module, node: 'node2' });
    expect(await clone.said('sum')).toMatchObject({ sum });
    expect(await clone.end()).toBe(0);
    // Its caller went with its supervisor, and its input with that: it reads the end, and says what it has.
    await until('the program goes on, to its end', async () => {
      const logs = await cluster.vkctl(['ps', '-a', '--json']);
      const processes = JSON.parse(logs.stdout) as { pid: number; state: string }[];
      return processes.every(({ pid, state }) => pid !== Number(guest.pid) || state === 'exited');
    });

    const ending = await Guest.start(cluster, { args: ['--mib', '1', '--rounds', '1'] });
    await ending.said('ready');
    const over = new Call(cluster, ending.pid);
    await over.held();
    await new Programs(cluster.connection).kill(ending.pid, 'SIGKILL');
    expect((await ending.program.exit).signal).toBe('SIGKILL');
    expect((await refusal(over.released())).details).toContain('it ended');
  });

  test('docs/snapshots.md says what its commands print', () => {
    const commands = commandsOf(readFileSync(join(ROOT, 'docs/snapshots.md'), 'utf8'));
    expect(commands.length).toBeGreaterThan(5);
    const printed = runInShell(
      commands.map(({ line }) => line),
      { cwd: ROOT, env: clusterOf().env },
    );
    const comparable = (text: string): string =>
      text
        .replaceAll(/warm-[0-9a-f]+/g, 'warm')
        .replaceAll(/\d+/g, '#')
        .replaceAll(/ +/g, ' ')
        .replaceAll(/[.#]+( MiB)/g, '#$1')
        .trim();
    for (const [at, { line, output }] of commands.entries())
      expect({ line, output: comparable(printed[at]!) }).toEqual({ line, output: comparable(output) });
  });
}
