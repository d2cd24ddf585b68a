// Programs on two nodes that talk by names: echoes, ends and resets, who may, what is bounded, and what is left when either side, its
// virtual kernel, a supervisor or the router is killed.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type TestCluster, until } from '../cluster/cluster.ts';
import { type CommandEnd, startVkctl } from '../cluster/command.ts';
import type { Program } from '../cluster/program.ts';
import { buildGo } from '../guests/go.ts';
import { systemPath } from '../guests/toolchain.ts';
import { hasGo, hasRust, rustc } from '../languages/toolchains.ts';
import { LONG } from '../long.ts';
import { commandsOf, runInShell } from '../operate/page-commands.ts';

const ROOT = join(import.meta.dirname, '../..');
const TALK = join(import.meta.dirname, 'talk');

/** @param place the cluster that is up by then, of two nodes @param program names.c */
export function testNames(place: () => TestCluster, program: string): void {
  const start = (node: string, ...args: string[]): Promise<Program> => {
    place().addModule('names', readFileSync(program));
    return place().start(node, 'names', args);
  };
  const output = async (node: string, ...args: string[]): Promise<string> => {
    const run = await start(node, ...args);
    const { code, stdout, stderr } = await run.end();
    if (code !== 0) throw new Error(`${args.join(' ')}: ${code} ${stderr}`);
    return stdout.toString();
  };
  const serving = async (node: string, ...args: string[]): Promise<Program> => {
    const server = await start(node, ...args);
    await server.wrote(/listening/);
    return server;
  };
  const end = async (server: Program): Promise<void> => {
    await place().vkctl(['kill', '-s', 'KILL', `${await server.pid}`]);
    await server.ended;
  };
  const list = async (name: string): Promise<{ endpoint: string; load: number }[]> =>
    JSON.parse((await place().vkctl(['name', 'ls', '--json', name])).stdout);

  describe('by names of syslink', () => {
    test('programs talk both ways, from each node to each, until the end of each direction', async () => {
      const echo = await serving('node1', 'echo', 'web');
      expect(await output('node2', 'tell', 'web', 'from node2')).toBe('from node2|end\n');
      expect(await output('node1', 'tell', 'web', 'from node1')).toBe('from node1|end\n');
      expect(await output('node2', 'load', 'web', '100', '20000')).toBe('100 of 20000 bytes\n');
      expect(await output('node2', 'load', 'web', '1', '5000000')).toBe('1 of 5000000 bytes\n');
      const user = (await place().vkctl(['whoami', '--json'])).stdout;
      const { name } = JSON.parse(user) as { name: string };
      await until('all are over', async () => {
        const [only, ...more] = await list(`${name}:web`);
        return more.length === 0 && only?.endpoint === 'node1/vkerneld' && only.load === 0;
      });
      await end(echo);
      await until('the name is gone', async () => (await list(`${name}:web`)).length === 0);
      expect(await output('node2', 'tell', 'web', 'x')).toBe('no connection: Connection refused\n');
    });

    test('a service in one language answers programs in others, on the other node', async () => {
      const languages = ['talk'];
      const talking = mkdtempSync(join(tmpdir(), 'odonata-talk-'));
      if (LONG && hasGo) {
        languages.push('talk.go');
        place().addModule('talk.go', readFileSync(buildGo(join(TALK, 'talk.go'), talking)));
      }
      if (LONG && hasRust) {
        languages.push('talk.rs');
        const flags = ['--edition', '2021', '-O', '-C', 'target-feature=+atomics'];
        const library = join(import.meta.dirname, '../../libs/guest/rust/src/lib.rs');
        rustc(talking, ...flags, '--crate-type', 'rlib', '--crate-name', 'odonata', library);
        rustc(
          talking,
          ...flags,
          '--extern',
          'odonata=libodonata.rlib',
          join(TALK, 'talk.rs'),
          '-o',
          'rust.wasm',
        );
        place().addModule('talk.rs', readFileSync(join(talking, 'rust.wasm')));
      }
      rmSync(talking, { recursive: true });
      for (const server of languages) {
        const service = await place().start('node1', server, ['serve', 'talk']);
        await service.wrote(/listening/);
        const says = { talk: 'AssemblyScript', 'talk.go': 'Go', 'talk.rs': 'Rust' }[server];
        expect(await output('node2', 'tell', 'talk', 'one\ntwo\n')).toBe(
          `${says}: one\n${says}: two\n|end\n`,
        );
        for (const client of languages)
          expect(await place().output('node2', client, ['ask', 'talk', 'hello'])).toBe(`${says}: hello\n`);
        await end(service);
      }
    });

    test('a program is handed listeners; of several on two nodes the one with the fewest connections is next', async () => {
      const serve = (node: string, word: string) =>
        place().vkctl(['run', '-d', '--node', node, '--listen-on', 'site', program, 'preopened', word]);
      expect(await serve('node1', 'one')).toMatchObject({ code: 0 });
      expect(await serve('node2', 'two')).toMatchObject({ code: 0 });
      expect(await serve('node2', 'three')).toMatchObject({ code: 0 });
      const answers: string[] = [];
      for (let i = 0; i < 6; i++) answers.push(await output(i % 2 ? 'node1' : 'node2', 'first', 'site'));
      const counts = ['one', 'two', 'three'].map(
        (word) => answers.filter((each) => each === `${word}\n`).length,
      );
      expect(counts).toEqual([2, 2, 2]);
      const pids = (await place().vkctl(['ps', '-q'])).stdout.trim().split('\n');
      await place().vkctl(['kill', '-s', 'KILL', ...pids]);
      const refused: CommandEnd = await place().vkctl([
        'run',
        '--listen-on',
        'no name',
        program,
        'preopened',
        'x',
      ]);
      expect(refused.stderr).toMatch(/--listen-on: "no name" is no name: use NAME of your own, PERSON:NAME/);
    });

    test('the page says what it prints', () => {
      const page = readFileSync(join(ROOT, 'docs/names.md'), 'utf8');
      const programs = /^```c (\w+\.c)\n(.*?)^```$/gms;
      for (const [, name, text] of page.matchAll(programs)) writeFileSync(`/tmp/${name}`, text!);
      const shown = commandsOf(page.replaceAll(programs, ''));
      expect(shown.length).toBe(11);
      const env = { ...place().env, PATH: systemPath() };
      const printed = runInShell(
        shown.map(({ line }) => line),
        { cwd: ROOT, env },
      );
      expect(shown.map(({ line }, i) => ({ line, output: printed[i] }))).toEqual(shown);
      for (const name of ['shout', 'ask'])
        for (const kind of ['c', 'wasm']) rmSync(`/tmp/${name}.${kind}`, { force: true });
    });

    test('what waits is bounded: a backlog, and what nobody reads, which stalls nobody else', async () => {
      const full = await serving('node1', 'full', 'narrow');
      expect(await output('node2', 'many', 'narrow', '3')).toBe(
        'connected\nResource temporarily unavailable\nResource temporarily unavailable\n',
      );
      const wide = await serving('node1', 'echo', 'wide', '199');
      const many = (await output('node2', 'many', 'wide', '270')).trimEnd().split('\n');
      const open = many.findIndex((said) => said !== 'connected');
      expect(open).toBeGreaterThan(250);
      expect(many.slice(open).every((said) => said === 'Resource temporarily unavailable')).toBe(true);
      const idle = await serving('node1', 'idle', 'deaf');
      const stalled = await start('node2', 'stall', 'deaf');
      const [, kib] = await stalled.wrote(/stalled after (\d+) KiB/);
      expect(Number(kib)).toBeGreaterThan(64);
      expect(Number(kib)).toBeLessThan(2 * 1024);
      const echo = await serving('node1', 'echo', 'other');
      expect(await output('node2', 'load', 'other', '2', '200000')).toBe('2 of 200000 bytes\n');
      await Promise.all([full, wide, idle, stalled, echo].map(end));
    });

    test('whoever is killed resets the other side', async () => {
      const echo = await serving('node1', 'echo', 'held');
      const holding = async (): Promise<Program> => {
        const held = await start('node2', 'hold', 'held');
        await held.wrote(/holds/);
        return held;
      };
      const reset = async (held: Program) =>
        expect((await held.end()).stdout.toString()).toBe('holds\nConnection reset by peer\n');
      const first = await holding();
      await end(echo);
      await reset(first);

      const vkernel = await serving('node1', 'echo', 'held');
      const second = await holding();
      const listed = await place().connection.vkerneld('node1').listVkernels({});
      process.kill(listed.vkernels.find(({ hostPid }) => hostPid > 0)!.hostPid, 'SIGKILL');
      await vkernel.ended;
      await reset(second);

      const supervisor = await serving('node1', 'echo', 'held');
      const handed = await place().vkctl([
        ...['run', '-d', '--node', 'node1', '--listen-on', 'handed', program, 'preopened', 'still there'],
      ]);
      const third = await holding();
      await place().kill('node1/vkerneld');
      await reset(third);
      await place().well();
      // The programs go on, and listen by the same descriptors.
      const isThere = async () => (await output('node2', 'tell', 'held', 'again')) === 'again|end\n';
      await until('it listens again', isThere);
      expect(await output('node2', 'first', 'handed')).toBe('still there\n');

      const fourth = await holding();
      let isOver = false;
      void fourth.ended.then(() => {
        isOver = true;
      });
      await place().kill('syslinkd');
      await place().well();
      await until('the name is there again', isThere);
      // It goes on through the next router: what ends it is the program at its other end.
      expect(isOver).toBe(false);
      await place().vkctl(['kill', '-s', 'KILL', `${await supervisor.pid}`, handed.stdout.trim()]);
      await reset(fourth);
    });

    test('the policy of a virtual kernel decides: its own names, unless more or less was said of it', async () => {
      const own = await serving('node1', 'echo', 'mine');
      expect(await output('node2', 'tell', 'bob:db', 'x')).toBe('no connection: Permission denied\n');
      expect(
        await place().vkctl(['vkernel', 'set', 'default', '--may-connect', 'bob:*', '--no-names']),
      ).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/may have no names of its user, leave to connect to bob:\* on node1/),
      });
      expect(await output('node2', 'tell', 'mine', 'x')).toBe('no connection: Permission denied\n');
      expect(await output('node2', 'tell', 'bob:db', 'x')).toBe('no connection: Connection refused\n');
      const bob = bobIn(place());
      await bob.come();
      const serve = (mode: string) => bob.vkctl(['run', '-d', '--node', 'node1', program, mode, 'db']);
      await serve('echo');
      expect(await output('node2', 'tell', 'bob:db', 'for bob')).toBe('no connection: Connection refused\n');
      await serve('everyone');
      await until(
        'it is for everybody',
        async () => (await output('node2', 'tell', 'bob:db', 'for all')) === 'for all|end\n',
      );
      expect((await bob.vkctl(['name', 'ls'])).stdout).toMatch(/bob:db +node1\/vkerneld .*everybody/);
      expect((await bob.vkctl(['vkernel', 'set', 'default', '--own-names'])).stderr).toMatch(/may not/);
      expect((await place().vkctl(['vkernel', 'set', 'default', '--may-listen', 'x'])).stderr).toMatch(
        /"x" is no name/,
      );
      const half = await place().vkctl([
        'vkernel',
        'create',
        'half',
        '--processes',
        '1',
        '--may-connect',
        'x',
      ]);
      expect(half.stderr).toMatch(/"x" is no name/);
      expect((await place().vkctl(['vkernel', 'ls', '-q'])).stdout).not.toMatch(/half/);
      expect(await place().vkctl(['vkernel', 'set', 'default', '--own-names'])).toMatchObject({ code: 0 });
      expect(await output('node2', 'tell', 'mine', 'again')).toBe('again|end\n');
      expect((await place().vkctl(['events', '--security'])).stdout).toMatch(
        /process \d+ of .*: programs of virtual kernel .*\/default may not connect to "bob:db"/,
      );
      await end(own);
      await bob.leave();
    });
  });
}

/** A person besides who started the cluster. */
function bobIn(cluster: TestCluster) {
  const file = join(cluster.home, 'bob.context');
  const { ODONATA_CLUSTER: _, ...env } = cluster.env;
  const vkctl = (args: string[]) => startVkctl(args, { env: { ...env, ODONATA_CONTEXT: 'bob' } }).ended;
  return {
    vkctl,
    async come() {
      await cluster.vkctl(['user', 'add', '-q', 'bob', '--out', file]);
      await cluster.vkctl(['context', 'add', file, '--name', 'bob']);
      await cluster.vkctl(['context', 'use', 'here']);
    },
    async leave() {
      const pids = (await vkctl(['ps', '-q'])).stdout.trim().split('\n');
      await vkctl(['kill', '-s', 'KILL', ...pids]);
      rmSync(file, { force: true });
      rmSync(join(cluster.home, '.contexts'), { recursive: true, force: true });
    },
  };
}
