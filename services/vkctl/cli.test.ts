// The commands, on a cluster of two nodes, as a shell sees them: what they print and how they exit.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { settled } from '@odonata/rpc/testdata/settled.ts';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { buildGuest } from '../../test/guests/build.ts';
import { clusterPaths } from './cluster/paths.ts';
import { startCluster } from './cluster/start.ts';
import { stopCluster } from './cluster/stop.ts';

const launcher = fileURLToPath(new URL('bin/vkctl.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'odonata-cli-test-'));
const shared = join(folder, 'shared');
const cluster = `cli-test-${process.pid}`;
process.env.ODONATA_HOME = join(folder, 'home');
const env = { ...process.env, ODONATA_CLUSTER: cluster, NO_COLOR: '1' };
const names = [
  'hello',
  'args',
  'echo',
  'copy',
  'misbehave',
  'missing-import',
  'terminal',
  'greeting',
] as const;
const guests: Record<(typeof names)[number], string> = {} as never;

beforeAll(async () => {
  mkdirSync(shared);
  for (const name of names) guests[name] = await buildGuest(name);
  await startCluster({ cluster, nodes: 2, port: 0, allowDirs: [shared], owner: process.pid });
});

afterAll(async () => {
  await stopCluster(clusterPaths(cluster));
  rmSync(folder, { recursive: true });
});

interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

const vkctlWith = (input: string | Buffer, ...args: string[]): Ended =>
  spawnSync(process.execPath, [launcher, ...args], {
    encoding: 'utf8',
    env,
    input,
    maxBuffer: 2 ** 24,
    timeout: 90_000,
    killSignal: 'SIGKILL',
  });
const vkctl = (...args: string[]): Ended => vkctlWith('', ...args);

/** A run that goes on while the test does something to it. */
function start(...args: string[]): {
  child: ChildProcess;
  ended: Promise<{ status: number; stderr: string }>;
} {
  const child = spawn(process.execPath, [launcher, ...args], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = Promise.all([once(child, 'exit'), text(child.stderr!)]).then(([[status], stderr]) => ({
    status: status as number,
    stderr,
  }));
  return { child, ended };
}

const oneLine = (pattern: RegExp): object =>
  expect.stringMatching(new RegExp(`^vkctl: .*${pattern.source}.*\\n$`));

test('run: arguments, environment, standard streams, exit code', () => {
  const args = vkctl('run', '-e', 'A=1', '-e', 'B=x=y', guests.args, '-d', '--node', 'a b');
  expect(args).toMatchObject({ status: 0, stderr: '' });
  expect(args.stdout.split('\n').slice(1)).toEqual([
    'arg 1 -d',
    'arg 2 --node',
    'arg 3 a b',
    'env A=1',
    'env B=x=y',
    '',
  ]);

  // AssemblyScript has the same by libs/guest/assembly/wasi.ts.
  expect(vkctl('run', guests.greeting, 'ü', 'b').stdout).toBe('hello, ü\nhello, b\n');
  expect(vkctl('run', '-e', 'HELLOS=x', '-e', 'HELLO=sal=ve', guests.greeting, 'b').stdout).toBe(
    'sal=ve, b\n',
  );
  expect(vkctl('run', guests.greeting)).toMatchObject({
    status: 2,
    stdout: '',
    stderr: 'usage: greeting NAME…\n',
  });

  const input = Buffer.alloc(3_000_000, 'odonata ');
  const echo = vkctlWith(input, 'run', guests.echo);
  expect(echo.status).toBe(0);
  expect(Buffer.from(echo.stdout).equals(input)).toBe(true);

  expect(vkctl('run', guests.misbehave, 'exit', '7').status).toBe(7);
});

test('run: words that are not UTF-8 reach the program byte by byte, or are refused', () => {
  // Node starts nothing with such words, but a shell does.
  const shell = (script: string) =>
    spawnSync(
      '/bin/sh',
      ['-c', `BAD=$(printf 'b\\377d'); export BAD; ${script}`, process.execPath, launcher, guests.args],
      {
        encoding: 'latin1',
        env,
        timeout: 90_000,
        killSignal: 'SIGKILL',
      },
    );
  const run = shell(
    'exec "$0" "$1" run -e BAD -e "X=$BAD" --env="Y=$BAD" -e "Z=\ufffd" "$2" "$BAD" "" "\u00fc" "$BAD"',
  );
  expect(run).toMatchObject({ status: 0, stderr: '' });
  expect(run.stdout.split('\n').slice(1)).toEqual([
    ...['arg 1 b\xffd', 'arg 2 ', 'arg 3 \xc3\xbc', 'arg 4 b\xffd'],
    ...['env BAD=b\xffd', 'env X=b\xffd', 'env Y=b\xffd', 'env Z=\xef\xbf\xbd', ''],
  ]);
  for (const words of ['run --dir "/$BAD:/d" "$2"', 'run "$BAD"', 'ps "$BAD"', 'kill "$BAD"'])
    expect(shell(`exec "$0" "$1" ${words}`)).toMatchObject({ status: 2, stderr: oneLine(/is not UTF-8/) });
});

test.skipIf(!existsSync('/usr/bin/script'))(
  'run: at a terminal a program knows it, and its prompt is there before the answer',
  async () => {
    const command = [process.execPath, launcher, 'run', guests.terminal].map((word) => `'${word}'`).join(' ');
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout!.on('data', (data: Buffer) => {
      output += data;
    });
    await vi.waitFor(() => expect(output).toContain('name? '), 60_000);
    child.stdin!.write('odonata\n');
    const [status] = await once(child, 'exit');
    expect(status).toBe(0);
    expect(output).toContain('isatty 1 1 1');
    expect(output).toContain('hello, odonata');
    expect(vkctlWith('x\n', 'run', guests.terminal).stdout).toBe('isatty 0 0 0\nname? hello, x\n');
  },
);

test('run: a folder is granted as far as the cluster and the command say', () => {
  writeFileSync(join(shared, 'in'), 'content');
  const copy = (grant: string, from: string, to: string) =>
    vkctl('run', '--dir', grant, guests.copy, from, to);
  expect(copy(`${shared}:/w`, '/w/in', '/w/out').status).toBe(0);
  expect(readFileSync(join(shared, 'out'), 'utf8')).toBe('content');
  expect(copy(`${shared}:/w:ro`, '/w/in', '/w/out2')).toMatchObject({ status: 3 });
  expect(copy(`${folder}:/w`, '/w/in', '/w/out2')).toMatchObject({
    status: 125,
    stderr: oneLine(/not allowed.*--allow-dir/),
  });
});

test('run: what cannot run says why, and exits with 125, 126 or 127', () => {
  const broken = join(folder, 'broken.wasm');
  writeFileSync(broken, Buffer.from('0061736d01000000ff', 'hex'));
  expect(vkctl('run', launcher)).toMatchObject({
    status: 126,
    stderr: oneLine(/is a script\. Run its interpreter/),
  });
  expect(vkctl('run', broken)).toMatchObject({
    status: 126,
    stderr: oneLine(/not a valid WebAssembly module/),
  });
  expect(vkctl('run', guests['missing-import'])).toMatchObject({
    status: 126,
    stderr: oneLine(/odonata.make_coffee/),
  });
  expect(vkctl('run', 'missing.wasm')).toMatchObject({ status: 127, stderr: oneLine(/no such file/) });
  expect(vkctl('run', '--vkernel', 'a b', guests.hello)).toMatchObject({
    status: 2,
    stderr: oneLine(/--vkernel: "a b" is no name/),
  });
  expect(vkctl('run', '--node', 'node9', guests.hello)).toMatchObject({
    status: 125,
    stderr: oneLine(/node1, node2/),
  });
});

test('run: traps and quotas end the program alone, with the reason', () => {
  const trap = vkctl('run', guests.misbehave, 'divide');
  expect(trap.status).toBe(136);
  expect(trap.stderr).toMatch(/SIGFPE: .*divide by zero\n {4}.*0x/);
  expect(vkctl('run', guests.misbehave, 'bounds').status).toBe(139);
  expect(vkctl('run', '--memory', '32M', guests.misbehave, 'hog', '100')).toMatchObject({
    status: 137,
    stderr: expect.stringContaining('32 MiB'),
  });
  expect(vkctl('run', guests.hello).status).toBe(0);
});

test('run: Ctrl-C is the program’s SIGINT, SIGTERM its SIGTERM', async () => {
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const { child, ended } = start('run', guests.misbehave, 'spin');
    await once(child.stdout!, 'data'); // It says its name first.
    child.kill(signal);
    expect(await ended).toMatchObject({ status, stderr: expect.stringContaining(signal) });
  }
});

test('run: a signal reaches a program that leaves its input unread', async () => {
  const { child, ended } = start('run', guests.misbehave, 'spin');
  await once(child.stdout!, 'data');
  child.stdin!.on('error', () => {}); // Nobody reads it to its end.
  child.stdin!.write(Buffer.alloc(8_000_000));
  // What it does not read stays here.
  expect(await settled(() => -child.stdin!.writableLength)).toBeLessThan(0);
  child.kill('SIGINT');
  expect(await ended).toMatchObject({ status: 130 });
});

test('run: whoever stops reading ends the program', async () => {
  const { child, ended } = start('run', guests.misbehave, 'flood');
  await once(child.stdout!, 'data');
  child.stdout!.destroy();
  expect(await ended).toMatchObject({ status: 141 });
});

test('a detached program: ps, logs, kill', () => {
  const run = vkctl('run', '-d', '--node', 'node2', '--vkernel', 'web', guests.misbehave, 'spin');
  expect(run).toMatchObject({ status: 0, stdout: expect.stringMatching(/^2\d{5}\n$/) });
  const pid = run.stdout.trim();
  const find = (...flags: string[]) =>
    JSON.parse(vkctl('ps', '--json', ...flags).stdout).find(
      (process: { pid: number }) => String(process.pid) === pid,
    );
  expect(find()).toMatchObject({ node: 'node2', vkernel: 'web', state: 'running' });
  expect(vkctl('ps').stdout).toMatch(new RegExp(`^${pid} +node2 +web +running .*spin$`, 'm'));
  expect(vkctl('kill', '-9', pid)).toMatchObject({ status: 0, stderr: '' });
  // Follows until its end, which the signal brings.
  expect(vkctl('logs', '-f', pid)).toMatchObject({ status: 0, stdout: 'misbehave spin\n' });
  expect(find()).toBeUndefined();
  expect(find('-a')).toMatchObject({ state: 'exited', exit: { code: 137, signal: 'SIGKILL' } });
});

test('an unknown pid', () => {
  for (const pid of ['199999', '900001']) {
    expect(vkctl('kill', pid)).toMatchObject({ status: 1, stderr: oneLine(/no process.*vkctl ps -a/) });
    expect(vkctl('logs', pid)).toMatchObject({ status: 1, stderr: oneLine(/no process.*vkctl ps -a/) });
  }
});

test('ds: load through one node, save through the other, list, remove', () => {
  const file = join(folder, 'bytes');
  const bytes = Buffer.from(Uint8Array.from({ length: 2_500_001 }, (_, i) => i * 7 + (i >> 9)));
  writeFileSync(file, bytes);
  expect(vkctl('ds', 'load', 'text', file, '--node', 'node1').status).toBe(0);
  expect(vkctl('ds', 'save', 'text', `${file}.back`, '--node', 'node2')).toMatchObject({
    status: 0,
    stderr: '',
  });
  expect(readFileSync(`${file}.back`).equals(bytes)).toBe(true);
  expect(vkctl('ds', 'ls').stdout).toMatch(/^text +\S+ +600 +2.4 MiB +- /m);
  expect(JSON.parse(vkctl('ds', 'stat', 'text', '--json').stdout)).toMatchObject({
    sizeBytes: bytes.length,
  });

  expect(vkctl('ds', 'create', 'text', '1M')).toMatchObject({ status: 1, stderr: oneLine(/text exists/) });
  expect(vkctl('ds', 'load', 'none', '-')).toMatchObject({ status: 1, stderr: oneLine(/--size/) });
  expect(vkctl('ds', 'save', 'none', file)).toMatchObject({
    status: 1,
    stderr: oneLine(/no dataspace "none"/),
  });
  expect(readFileSync(file).equals(bytes)).toBe(true);

  // What is there beyond the file stays, and whoever loads is told.
  const shorter = join(folder, 'shorter');
  writeFileSync(shorter, bytes.subarray(0, 2 ** 20));
  expect(vkctl('ds', 'load', 'text', shorter)).toMatchObject({
    status: 0,
    stderr: expect.stringMatching(
      /^text: 1 MiB loaded through \S+; the other 1.4 MiB keep what they held\n$/,
    ),
  });
  expect(JSON.parse(vkctl('ds', 'load', 'text', file, '--json').stdout)).toMatchObject({
    rest: { bytes: 0, holds: 'before' },
  });
  expect(vkctlWith(bytes, 'ds', 'load', 'padded', '-', '--size', '4M', '--pad')).toMatchObject({
    stderr: expect.stringMatching(/; the other 1.6 MiB are zeros\n$/),
  });
  expect(vkctl('ds', 'hot', 'padded')).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^padded: nothing is fought over: .+\n$/),
  });
  expect(vkctl('ds', 'rm', 'padded').status).toBe(0);

  // Where what is named cannot be written, that is said of the name that was given.
  expect(vkctl('ds', 'save', 'text', join(folder, 'none/x'))).toMatchObject({
    status: 1,
    stderr: oneLine(/cannot write \S+none\/x: no such file/),
  });
  expect(vkctl('ds', 'save', 'text', folder)).toMatchObject({ status: 1, stderr: oneLine(/is a folder/) });
  expect(vkctl('ds', 'save', 'text', '/dev/full')).toMatchObject({
    status: 1,
    stderr: oneLine(/cannot write \/dev\/full: no space left/),
  });
  // What is there keeps its mode, and who asks for another one is not left to believe that they got it.
  expect(vkctl('ds', 'load', '--mode', '644', 'text', file)).toMatchObject({
    status: 1,
    stderr: oneLine(/text exists with mode 600, not 644; .*vkctl ds chmod/),
  });
  expect(vkctlWith(bytes, 'ds', 'load', 'short', '-', '--size', '10')).toMatchObject({
    status: 1,
    stderr: oneLine(/the input has more than the 10 bytes/),
  });
  expect(vkctl('ds', 'rm', 'text').status).toBe(0);
  expect(vkctl('ds', 'stat', 'text')).toMatchObject({ status: 1, stderr: oneLine(/no dataspace/) });
});

test('several people: whose it is stands in ps and status; who may not is told so once, with what mends it', async () => {
  const as = (who: string, ...args: string[]) => {
    // Empty: the context in use.
    const own = { ...env, ODONATA_CLUSTER: '', ODONATA_HOME: join(folder, `home-${who}`) };
    return spawnSync(process.execPath, [launcher, ...args], { encoding: 'utf8', env: own, timeout: 60_000 });
  };
  expect(vkctl('status').stdout).not.toContain('USER');
  for (const [who, role] of [
    ['alice', 'user'],
    ['vera', 'viewer'],
  ] as const) {
    const file = join(folder, `${who}.context`);
    expect(vkctl('user', 'add', who, '--role', role, '--out', file)).toMatchObject({ status: 0, stderr: '' });
    expect(as(who, 'context', 'add', file)).toMatchObject({ status: 0, stderr: '' });
    // What is kept is not overwritten without a word.
    expect(as(who, 'context', 'add', file)).toMatchObject({
      status: 1,
      stderr: oneLine(/already.*--replace/),
    });
    expect(JSON.parse(as(who, 'context', 'add', '--replace', '--json', file).stdout).current).toBe(true);
    expect(JSON.parse(as(who, 'whoami', '--json').stdout)).toMatchObject({ name: who, role });
  }
  // Who has no use of it is not let in.
  for (const [flag, value, status] of [
    ['--syslink', 'nowhere', 2],
    ['--out', join(folder, 'none/x.context'), 1],
  ] as const)
    expect(vkctl('user', 'add', 'bob', flag, value)).toMatchObject({
      status,
      stderr: oneLine(/none|nowhere/),
    });
  expect(vkctl('user', 'ls').stdout).not.toContain('bob');
  expect(as('alice', 'whoami').stdout).toMatch(
    /^user alice of cluster "[^"]+": in no group; until [0-9-]+; by context /,
  );
  expect(vkctl('whoami').stdout).toMatch(/^admin \S+ of cluster .* who started it on this machine\n$/);
  const pids = [
    vkctl('run', '-d', guests.misbehave, 'spin'),
    as('alice', 'run', '-d', guests.misbehave, 'spin'),
  ];
  const [ours, hers] = pids.map(({ stdout }) => stdout.trim()) as [string, string];
  const all = as('vera', 'ps').stdout;
  expect(all).toMatch(/^PID +USER +NODE +VKERNEL/);
  expect(all).toMatch(new RegExp(`^${hers} +alice +node`, 'm'));
  expect(as('alice', 'ps').stdout).not.toContain('USER');
  expect(as('vera', 'status').stdout).toMatch(/^VKERNEL +USER +NODE[\s\S]*^default +alice +node/m);
  expect(JSON.parse(as('vera', 'status', '--json').stdout).tlsDir).toContain('.contexts');

  const refused = as('vera', 'run', guests.hello);
  expect(refused).toMatchObject({ status: 125, stderr: oneLine(/viewer vera may not do this; .*user may/) });
  expect(refused.stderr).not.toContain('--allow-dir');
  expect(as('alice', 'events')).toMatchObject({
    status: 1,
    stdout: '',
    stderr: oneLine(/user alice may not do this; .* may/),
  });
  // She did nothing that a service would have to tell of.
  expect(vkctl('events', '--security').stdout).not.toContain('ListEvents');
  expect(vkctl('kill', '-9', ours, hers)).toMatchObject({ status: 0, stderr: '' });
  expect(JSON.parse(vkctl('user', 'rm', 'vera', '--json').stdout)).toMatchObject({
    name: 'vera',
    role: 'viewer',
  });
  // Within a second or two.
  await vi.waitFor(
    () =>
      expect(as('vera', 'ps')).toMatchObject({ status: 1, stderr: oneLine(/was revoked.*vkctl user add/) }),
    { timeout: 15_000, interval: 250 },
  );
  expect(as('vera', 'status')).toMatchObject({ status: 1, stderr: oneLine(/was revoked.*vkctl user add/) });
});
