// Bad input: one clear line, an exit code other than 0, and nobody else hurt.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildGuest } from '../guests/build.ts';
import { TestCluster, TestPlace, until } from './cluster.ts';
import { startCommand, VKCTL } from './command.ts';
import type { Program } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-bad-input-'));
let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 3 });
}, 150_000);
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await cluster.down();
}, 90_000);

const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
/** One line of ours, no more. */
const line = (pattern: RegExp) =>
  expect.stringMatching(new RegExp(`^vkctl: [^\n]*${pattern.source}[^\n]*\n$`, 'i'));

describe('modules', () => {
  test('what is not WebAssembly is refused, here and by the node', async () => {
    const text = file('text.wasm', 'just some text\n');
    expect(await cluster.vkctl(['run', text])).toMatchObject({
      code: 126,
      stdout: '',
      stderr: line(/text\.wasm.*not a (WebAssembly|wasm) module/),
    });
    expect(await cluster.vkctl(['run', join(folder, 'none.wasm')])).toMatchObject({
      code: 127,
      stderr: line(/none\.wasm/),
    });
    // It has the right first bytes; what follows is nothing.
    const broken = file(
      'broken.wasm',
      Buffer.concat([Buffer.from('0061736d01000000', 'hex'), Buffer.from('garbage')]),
    );
    expect(await cluster.vkctl(['run', broken])).toMatchObject({
      code: 126,
      stdout: '',
      stderr: line(/broken/),
    });
    const empty = file('empty.wasm', Buffer.from('0061736d01000000', 'hex'));
    expect(await cluster.vkctl(['run', empty])).toMatchObject({
      code: 126,
      stdout: '',
      stderr: line(/_start/),
    });
  });

  test('an import that there is not is named', async () => {
    const wasm = await buildGuest('missing-import');
    expect(await cluster.vkctl(['run', wasm])).toMatchObject({
      code: 126,
      stdout: '',
      stderr: line(/odonata.*make_coffee/),
    });
    const detached = await cluster.vkctl(['run', '-d', wasm]);
    expect(detached).toMatchObject({ code: 126, stdout: '', stderr: line(/make_coffee/) });
  });
});

describe('ends that a program brings upon itself', () => {
  /** Ticks on in the virtual kernel where others end badly. */
  let neighbour: Program;
  const vkernel = 'rough';
  beforeAll(async () => {
    neighbour = await cluster.start('node1', 'peek', ['ticks', '0', '--size', '16384', '--every-ms', '20'], {
      vkernel,
    });
    await neighbour.wrote(/words/);
  });
  afterAll(() => neighbour.signal('SIGKILL'));
  const bad = (guest: string, args: string[], options = {}) =>
    cluster.run('node1', guest, args, { vkernel, ...options });
  const neighbourGoesOn = async () => {
    const ticks = neighbour.stdout.length;
    await until('the neighbour goes on', () => neighbour.stdout.length > ticks);
  };

  test.each([
    ['unreachable', 'SIGABRT', 134, /unreachable/, /_start/],
    ['abort', 'SIGABRT', 134, /unreachable/, /abort(.|\n)*_start/],
    ['divide', 'SIGFPE', 136, /divide by zero/, /_start/],
    ['overflow', 'SIGFPE', 136, /divide result unrepresentable/, /_start/],
    ['bounds', 'SIGSEGV', 139, /memory access out of bounds/, /_start/],
    ['stack', 'SIGSEGV', 139, /memory access out of bounds/, /^use_stack .*\nuse_stack /],
    ['recursion', 'SIGSEGV', 139, /stack overflow/, /^recurse .*\nrecurse /],
    ['table', 'SIGTRAP', 133, /signature mismatch/, /_start/],
  ])('trap: %s', async (way, signal, code, reason, stack) => {
    const end = await bad('misbehave', [way]);
    expect(end).toMatchObject({ code, signal, reason: expect.stringMatching(reason) });
    expect(end.reason).not.toContain('\n');
    expect(end.stdout.toString()).toBe(`misbehave ${way}\n`);
    expect(end.stack).toMatch(stack);
    await neighbourGoesOn();
  });

  test('vkctl vkernel halt of one that is nowhere names no node that nobody asked for', async () => {
    const nosuch = await cluster.vkctl(['vkernel', 'halt', 'nosuch']);
    expect(nosuch.stderr).toMatch(
      /^vkctl: no virtual kernel \S*nosuch on any of 3 nodes: vkctl vkernel ls shows them, .*\n$/,
    );
    const there = await cluster.vkctl(['vkernel', 'halt', 'nosuch', '--node', 'node2']);
    expect(there.stderr).toMatch(/nosuch on node2: /);
  });

  test('vkctl run shows the reason of a trap, and the stack of the program', async () => {
    const { code, stdout, stderr } = await cluster.vkctl([
      'run',
      await buildGuest('misbehave'),
      'unreachable',
    ]);
    expect({ code, stdout }).toEqual({ code: 134, stdout: 'misbehave unreachable\n' });
    expect(stderr).toMatch(/^vkctl: misbehave[^\n]*: SIGABRT: trap: unreachable\n( {4}\S[^\n]*\n)+$/);
    expect(stderr).toMatch(/_start \(function \d+ at 0x[0-9a-f]+\)/);
  });

  test('the memory quota ends the process that goes over it, and nobody else', async () => {
    const end = await bad('misbehave', ['hog', '400'], { memoryBytes: 48 << 20 });
    expect(end).toMatchObject({
      code: 137,
      signal: 'SIGKILL',
      reason: expect.stringMatching(/quota of 48 MiB/),
    });
    expect(end.stdout.toString()).toContain('{"touched_mib":32}');
    expect(end.stdout.toString()).not.toContain('{"touched_mib":64}');
    await neighbourGoesOn();
    expect(await bad('misbehave', ['hog', '32'], { memoryBytes: 48 << 20 })).toMatchObject({ code: 0 });
    const told = await cluster.vkctl(['run', '--memory', '32M', await buildGuest('misbehave'), 'hog', '100']);
    expect(told).toMatchObject({
      code: 137,
      stderr: expect.stringMatching(/^vkctl: .*quota of 32 MiB.*--memory.*\n$/),
    });
  });

  test('a hung program is ended, however it hangs', async () => {
    const hung = await Promise.all([
      cluster.start('node1', 'misbehave', ['spin'], { vkernel }),
      cluster.start('node1', 'misbehave', ['sleep', '600000'], { vkernel }),
      cluster.start('node1', 'misbehave', ['flood'], { vkernel }),
      cluster.start('node1', 'futex', ['never', 'wait', '0', '-1'], { vkernel }),
      cluster.start('node1', 'echo', [], { vkernel, stdin: 'open' }),
    ]);
    await Promise.all(hung.slice(0, 4).map((program) => program.wrote(/misbehave|waiting/)));
    await hung[4]!.end();
    for (const program of hung.slice(0, 4)) {
      await program.signal('SIGTERM');
      expect(await program.end()).toMatchObject({
        code: 143,
        signal: 'SIGTERM',
        reason: 'killed by SIGTERM',
      });
    }
    await neighbourGoesOn();
  });
});

describe('shared memory that may only be read', () => {
  test.each(['store', 'atomic', 'fill', 'copy'])('%s ends the process only', async (way) => {
    const vkernel = `read-only-${way}`;
    const ds = `constant-${way}`;
    await cluster.output('node2', 'pattern', [ds, '4', 'write', '5']);
    // The neighbour writes what the other must not, and on another node the pages are dirty, too.
    const neighbour = await cluster.start('node1', 'peek', [ds, '0', '--every-ms', '20'], { vkernel });
    await neighbour.wrote(/words/);
    const end = await cluster.run('node1', 'readonly', [ds, way], { vkernel });
    expect(end).toMatchObject({ code: 139, signal: 'SIGSEGV' });
    expect(end.reason).toMatch(new RegExp(`${ds}.*read-only`));
    expect(end.stdout.toString()).toMatch(/^\{"before":\d+\}\n$/);
    const ticks = neighbour.stdout.length;
    await until('the neighbour goes on', () => neighbour.stdout.length > ticks);
    await neighbour.signal('SIGKILL');
    expect(await cluster.json('node3', 'pattern', [ds, '4', 'check', '5'])).toMatchObject({ wrong_pages: 0 });
    // And the place still serves: here the same page is written by one that may.
    await cluster.output('node1', 'peek', [ds, '0', '--write', '9'], { vkernel });
    expect(await cluster.json('node2', 'peek', [ds, '0'])).toMatchObject({ words: [9] });
  });

  test('a system call that would write there gives EFAULT, and the process goes on', async () => {
    await cluster.output('node2', 'pattern', ['constant-kernel', '4', 'write', '5']);
    const end = await cluster.run('node1', 'readonly', ['constant-kernel', 'kernel'], {
      stdin: 'not for there',
    });
    expect(end).toMatchObject({ code: 0, signal: '' });
    expect(end.stdout.toString().split('\n')[1]).toBe('{"read":0,"errno":21}');
    expect(end.stdout.toString()).toContain('"survived":true');
    expect(await cluster.json('node3', 'pattern', ['constant-kernel', '4', 'check', '5'])).toMatchObject({
      wrong_pages: 0,
    });
  });
});

describe('what there is not', () => {
  test('pids, nodes, virtual kernels, dataspaces, clusters', async () => {
    const hello = await buildGuest('hello');
    const commands: [string[], number, RegExp][] = [
      [['kill', '199999'], 1, /no process.* 199999/],
      [['kill', '999999999'], 1, /999999999/],
      [['logs', '199999'], 1, /no process.* 199999/],
      [['run', '--node', 'node9', hello], 125, /no node "node9".*node1, node2, node3/],
      [['run', '--vkernel', 'node9/x', hello], 125, /no node "node9"/],
      [['run', '--vkernel', 'Bad Name', hello], 2, /name of a virtual kernel/],
      [['ds', 'stat', 'nothing'], 1, /no dataspace "nothing"/],
      [['ds', 'rm', 'nothing'], 1, /no dataspace "nothing"/],
      [['ds', 'save', 'nothing', '-'], 1, /no dataspace "nothing"/],
      [['ds', 'create', '--node', 'node9', 'x', '4K'], 1, /no node "node9"/],
      [['ds', 'create', 'bad name', '4K'], 1, /bad name/],
      [['ds', 'load', 'x', join(folder, 'none')], 1, /none: no such file/],
      [['ps', '--cluster', 'nobody'], 1, /cluster "nobody" is not up/],
      [['run', '--dir', `${folder}:/x`, hello], 125, /--allow-dir/],
      [['run', '--dir', `${folder}:/w/../x`, hello], 2, /"\/w\/\.\.\/x" has "\.\." in it.*Write it as \/x/],
      [['run', '--dir', `${folder}:/x`, '--dir', `/tmp:/x/`, hello], 2, /"\/x\/" is given twice/],
      [['events', '--service', 'foo'], 2, /no "foo".*node1\/pmapd/],
      [['events', '--node', 'node9'], 2, /no "node9".*node1, node2, node3/],
    ];
    const ends = await Promise.all(commands.map(([args]) => cluster.vkctl(args)));
    for (const [i, [args, code, stderr]] of commands.entries()) {
      expect({ args, ...ends[i] }).toEqual({ args, code, stdout: '', stderr: line(stderr) });
    }
  });

  test('a name that exists with another size', async () => {
    expect(await cluster.vkctl(['ds', 'create', 'sized', '64K'])).toMatchObject({ code: 0, stderr: '' });
    expect(await cluster.vkctl(['ds', 'create', 'sized', '128K'])).toMatchObject({
      code: 1,
      stderr: line(/dataspace.*sized.* exists/),
    });
    expect(await cluster.run('node2', 'peek', ['sized', '0', '--size', '4096'])).toMatchObject({
      code: 3,
      stderr: 'dataspace sized: Invalid argument (errno 28)\n',
    });
    expect(await cluster.json('node3', 'dataspace', ['sized', 'open', '5000', '1'])).toMatchObject({
      errno: 28,
    });
    expect(await cluster.json('node3', 'dataspace', ['sized', 'open', '65536', '3'])).toMatchObject({
      errno: 20,
    });
    // Durable, which it is not; and of another size without CREATE.
    for (const [size, flags] of [
      ['65536', '5'],
      ['5000', '0'],
    ] as const)
      expect(await cluster.json('node3', 'dataspace', ['sized', 'open', size, flags])).toMatchObject({
        errno: 28,
      });
    expect(await cluster.json('node3', 'dataspace', ['sized', 'open', '0', '0'])).toEqual({
      errno: 0,
      size_bytes: 65_536,
    });
    expect(await cluster.json('node1', 'dataspace', ['missing', 'open', '0', '0'])).toMatchObject({
      errno: 44,
    });
    const long = await cluster.vkctl(['ds', 'load', 'sized', '-'], { stdin: Buffer.alloc(70_000) });
    expect(long).toMatchObject({ code: 1, stderr: line(/sized.*65536.*longer/) });
  });
});

describe('a place where no cluster can be', () => {
  const place = new TestPlace();
  afterAll(() => place.clear());

  test('port taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const taken = await place.vkctl(['up', '--nodes', '1', '--port', `${port}`]);
    expect(taken).toEqual({
      code: 1,
      stdout: '',
      stderr: line(new RegExp(`port ${port}.* is taken.*--port`)),
    });
    server.close();
    expect(await place.traces()).toEqual([]);
  });

  test('nats-server missing', async () => {
    // Hidden where it is installed, in a mount namespace of this command's own.
    const hide = 'for f in $(command -v nats-server); do mount --bind /dev/null "$f"; done; exec "$@"';
    const missing = startCommand(
      [
        'unshare',
        '--mount',
        '--map-root-user',
        'sh',
        '-c',
        hide,
        '-',
        process.execPath,
        VKCTL,
        'up',
        '--port',
        '0',
      ],
      { env: { ...place.env, PATH: `${place.env.PATH}:/usr/sbin:/usr/local/sbin:/sbin` } },
    );
    expect(await missing.ended).toEqual({
      code: 1,
      stdout: '',
      stderr: line(/nats-server is not installed.*install/),
    });
    expect(await place.traces()).toEqual([]);
  });

  test('a second vkctl up of a cluster that is up', async () => {
    const second = await startCommand([process.execPath, VKCTL, 'up', '--port', '0'], { env: cluster.env })
      .ended;
    expect(second).toEqual({ code: 1, stdout: '', stderr: line(/is already up.*vkctl down/) });
    expect(await cluster.json('node1', 'peek', ['still-there', '0', '--size', '4096'])).toMatchObject({
      words: [0],
    });
    expect(await cluster.vkctl(['status'])).toMatchObject({ code: 0, stderr: '' });
  });
});
