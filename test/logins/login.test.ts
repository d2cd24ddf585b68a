// vkctl login: programs, pipelines over nodes, two people who see nothing of each other, and what a bomb of forks does.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildPrograms } from '../../services/vkctl/cluster/programs.ts';
import { TestCluster, until } from '../cluster/cluster.ts';
import { startCommand } from '../cluster/command.ts';
import { PosixLibrary } from '../posix/library.ts';
import { Typist } from '../terminals/typist.ts';

let cluster: TestCluster;
const folder = mkdtempSync(join(tmpdir(), 'odonata-login-'));

beforeAll(async () => {
  // What is built when it starts it has.
  await buildPrograms();
  cluster = await TestCluster.up({ nodes: 3 });
  for (const name of ['alice', 'bob']) {
    const file = join(folder, `${name}.context`);
    await done(['user', 'add', '-q', name, '--out', file]);
    await done(['context', 'add', file, '--name', name]);
  }
  await done(['context', 'use', 'here']);
}, 400_000);
afterAll(async () => {
  if (cluster !== undefined)
    rmSync(join(cluster.env.ODONATA_HOME!, '.contexts'), { recursive: true, force: true });
  await cluster?.down();
  rmSync(folder, { recursive: true, force: true });
});

async function done(args: string[]): Promise<string> {
  const end = await cluster.vkctl(args);
  expect({ args, code: end.code, stderr: end.stderr }).toMatchObject({ args, code: 0 });
  return end.stdout;
}

const login = (destination: string, script: string, stdin?: string) =>
  cluster.vkctl(
    ['login', destination, ...(script === '' ? [] : [script])],
    stdin === undefined ? {} : { stdin },
  );
const says = async (destination: string, script: string) => {
  const { code, stdout, stderr } = await login(destination, script);
  expect({ script, code, stderr }).toEqual({ script, code: 0, stderr: '' });
  return stdout;
};

test('commands from a pipe, and the exit code', { timeout: 60_000 }, async () => {
  const script = 'cd; echo "b\na" > kept; sort kept | tr a-z A-Z\npwd\nexit 7\necho never\n';
  const end = await login('@', '', script);
  expect(end).toMatchObject({ code: 7, stderr: '' });
  expect(end.stdout).toMatch(/^A\nB\n\/home\/\S+\n$/);
  expect(await says('@', 'cat kept; rm kept')).toBe('b\na\n');
});

test('system and popen of a C program have the shell', { timeout: 60_000 }, async () => {
  const library = await PosixLibrary.build();
  try {
    cluster.addModule('commands', await library.link('commands', [join(import.meta.dirname, 'commands.c')]));
  } finally {
    await library.close();
  }
  expect((await cluster.output('node1', 'commands')).split('\n')).toEqual([
    ...['shell 1', 'a', 'b', 'code 3', 'signal 15', 'read one', 'read two', 'code 5', 'WRITTEN', 'code 0'],
    ...['Invalid argument, No child process', ''],
  ]);
});

test('a pipeline whose stages run on three nodes', { timeout: 60_000 }, async () => {
  const node = 'sed -n s/^Node:.//p /proc/self/status';
  // Meanwhile: who waits sleeps, who computes runs.
  const states = login(
    '@',
    'sleep 60 & one=$!; yes > /dev/null & two=$!; sleep 4; sed -n s/^State:.//p /proc/$one/status /proc/$two/status; kill $one $two',
  );
  const script = `${node}; echo b a c | on node2 tr ' ' '\\n' | on node3 sort | tr '\\n' ,; on node2 ${node}; on node3 ${node}`;
  expect((await cluster.vkctl(['login', '--node', 'node1', '@', script])).stdout).toBe(
    'node1\na,b,c,node2\nnode3\n',
  );
  // Of the shells that a shell starts what they do is seen, whatever they know besides.
  expect((await states).stdout).toBe('S (sleeping)\nR (running)\n');
  await login('@', 'secret=long; (secret=$secret; exit 7) | cat');
  const { stdout: processes } = await cluster.vkctl(['ps', '-a']);
  expect(processes).toMatch(/ sh -c .*exit 7[; }]*\n/);
  expect(processes).not.toContain('--from=');
  const { stderr } = await login('@', 'on node9 ls; on node2 cat < /bin/sh > /dev/null');
  expect(stderr).toMatch(/^sh: on node9: /);
});

const onNode1 = async (script: string, stdin = '') =>
  await cluster.vkctl(['login', '--node', 'node1', '@', script], { stdin });

test('a program elsewhere takes of its input what it reads, and no more', { timeout: 60_000 }, async () => {
  const loop = 'while read x; do on node2 true; on node3 true < /dev/null; echo $x; done';
  const part = '{ on node2 sh -c "read x; echo got \\$x"; cat; }';
  const script = `seq 2 | ${loop}; seq 2 > f; ${loop} < f; seq 2 | ${part}; ${part} < f; rm f; ${part}`;
  expect(await onNode1(script, '1\n2\n')).toMatchObject({
    code: 0,
    stderr: '',
    stdout: '1\n2\n1\n2\ngot 1\n2\ngot 1\n2\ngot 1\n2\n',
  });
});

test('a pipe over nodes breaks for its writer, and is not closed for others who write', {
  timeout: 60_000,
}, async () => {
  const pipes = 'on node2 yes | head -n 1; yes | on node2 head -n 1; on node2 yes | on node3 head -n 1';
  const script = `${pipes}; { on node2 echo a; on node3 echo b; echo c; } | cat`;
  expect(await onNode1(script)).toMatchObject({ code: 0, stderr: '', stdout: 'y\ny\ny\na\nb\nc\n' });
  expect(await onNode1('on node2 sh -c "on node3 yes" | head -n 1')).toMatchObject({ stdout: 'y\n' });
  await until('all of them are over', async () => !(await done(['ps', '--json'])).includes('"yes"'));
});

describe('programs', () => {
  const cases: [string, string | RegExp][] = [
    ['cd /tmp; printf "3\\n1\\n2\\n1\\n" > n; sort -n n | uniq -c | head -1', '      2 1\n'],
    ['cd /tmp; cp n m; mv m o; ln -s o l; cat l | wc -l; rm l o; ls', '4\nn\n'],
    [
      'mkdir -p /tmp/d/e; echo x > /tmp/d/e/f; find /tmp/d -type f -exec cat {} +; du -s /tmp/d; rm -r /tmp/d',
      /^x\n\d+\t\/tmp\/d\n$/,
    ],
    ['seq 3 | xargs -n 2 echo +', '+ 1 2\n+ 3\n'],
    ['cd /tmp; echo abc > in; sed -i s/b/X/ in; echo $?; cat in', '0\naXc\n'],
    [
      'cd /tmp; echo \'echo "$0" "$@"\' > plain; printf "#!/bin/sh -e\\nfalse; echo no\\n" > strict; ./plain a b; ./strict; echo $?',
      './plain a b\n1\n',
    ],
    [
      'cd /tmp; printf "#!/bin/cat\\nx\\n" > shown; ./shown; printf "#!/bin/nosuch\\n" > lost; ./lost 2>&1; echo $?',
      '#!/bin/cat\nx\nsh: ./lost: it is to be run by /bin/nosuch, which is not there\n127\n',
    ],
    ['cd; ls .. | grep -c .; ls -d ..', '1\n..\n'],
    [
      'echo a:b:c | cut -d : -f 2; echo abc | sed s/b/X/; echo abc | grep -c b; seq 5 | tail -n 1',
      'b\naXc\n1\n5\n',
    ],
    ['seq 3 | tee /tmp/t | wc -l; sha256sum < /tmp/t', /^3\n[0-9a-f]{64} {2}-\n$/],
    ["env A=b sh -c 'echo $A'; date -u -d @0 +%Y", 'b\n1970\n'],
    ['sleep 30 & ps -o args | grep -c "^sleep 30"; kill $!; wait $!; echo $?', '1\n143\n'],
    ['df /tmp | tail -n 1', /^tmpfs +262144 /],
    ['stat -c %s /tmp/t; top -b -n 1 | grep -c ^Tasks', '6\n1\n'],
    ['x=$(ls /bin | grep -c .); [ $x -gt 60 ] && echo many', 'many\n'],
    [
      'for i in 1 2; do echo $i; done > /tmp/r 2>&1; cat < /tmp/r; { cat; echo z; } < /tmp/r',
      '1\n2\n1\n2\nz\n',
    ],
    ['i=0; while [ $i -lt 3 ]; do i=$((i + 1)); echo $i; done | { read a; cat; }', '2\n3\n'],
    ['cd /; ls | tr "\\n" " "', 'bin dev home proc shared tmp '],
  ];
  const END = '--- end of a case ---';
  test('all of them, each in a shell of its own', { timeout: 120_000 }, async () => {
    const stdout = await says('@', cases.map(([script]) => `( ${script} )\necho '${END}'\n`).join(''));
    const printed = stdout.split(`${END}\n`);
    for (const [i, [script, wanted]] of cases.entries()) {
      if (typeof wanted === 'string')
        expect({ script, printed: printed[i] }).toEqual({ script, printed: wanted });
      else expect(printed[i]).toMatch(wanted);
    }
  });
});

test('two people see nothing of each other', { timeout: 120_000 }, async () => {
  const alice = login(
    'alice@',
    'echo secret > ~/f; echo $USER > /shared/of-alice; echo $$; sleep 3; cat ~/f',
  );
  await expect.poll(async () => await done(['ps', '-q']), { timeout: 20_000 }).toMatch(/\d/);
  await expect.poll(async () => await done(['ds', 'ls', '-q']), { timeout: 20_000 }).toContain('of-alice');
  const pids = (await done(['ps', '--json']).then((text) => JSON.parse(text))) as {
    pid: number;
    user: string;
  }[];
  const hers = pids.find(({ user }) => user === 'alice')!.pid;
  const script = `echo $USER; ls /home; ls /shared; cat /shared/of-alice; ls -d /proc/${hers}; kill -9 ${hers}; cat /proc/vkernels | grep -c alice`;
  const bob = await login('bob@', script);
  expect(bob.stdout).toBe('bob\nbob\n0\n');
  expect(bob.stderr.replaceAll(String(hers), 'PID').split('\n')).toEqual([
    'cat: /shared/of-alice: Permission denied',
    'ls: /proc/PID: No such file or directory',
    'sh: kill: PID: No such process',
    '',
  ]);
  expect(await alice).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\nsecret\n$/) });
  // Kept from one login to the next, and of one's own certificate alone.
  expect(await says('alice@', 'cat f')).toBe('secret\n');
  const wrong = await cluster.vkctl(['login', 'bob@alice', 'true']);
  expect(wrong).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^vkctl: login: you are alice there, not bob\. /),
  });
});

test('at a terminal: lines are edited, completed and kept; jobs are stopped, go on, and end with the login', {
  timeout: 120_000,
}, async () => {
  const typist = new Typist(['login', '--node', 'node1'], cluster.env);
  try {
    await typist.shows('@node1:/home/');
    await typist.type('ech one\x1b[D\x1b[D\x1b[D\x1b[Do\r');
    await typist.shows('\none\r');
    await typist.type('echo t\x7fagain; ls /bi\tyes\r');
    await typist.shows(/again\r\n\/bin\/yes/);
    await typist.type('\x1b[A\x1b[A\r');
    await typist.shows(/\none\r[\s\S]*\none\r/);
    await typist.type('top\r');
    await typist.shows('Tasks: 2 total');
    await typist.type('q');
    await until('top is over', async () => !(await done(['ps', '--json'])).includes('"top"'));
    await sleep(500);
    await typist.type('echo top is over by $?\r');
    await typist.shows('\ntop is over by 0\r');
    // A shell within waits on where what it waits for is stopped with it.
    await typist.type('sh -c "cat; echo after it"\r');
    await sleep(1_500);
    await typist.type('\x1a');
    await typist.shows('Stopped    sh -c');
    await typist.type('fg\r');
    await sleep(500);
    await typist.type('still here\r');
    await typist.shows(/still here\r\nstill here\r/);
    await typist.type('\x04');
    await typist.shows('\nafter it\r');
    // Who is stopped while it reads gets nothing of what is typed then.
    await typist.type('cat\r');
    await sleep(1_000);
    await typist.type('one line\r');
    await typist.shows(/\none line\r\none line\r/);
    await typist.type('\x1a');
    await typist.shows('Stopped    cat');
    await typist.type('echo A$((1+1))\r');
    await typist.shows('\nA2\r');
    await typist.type('kill -9 %1\r');
    await typist.type('sleep 100\r');
    await until('it sleeps', async () => (await done(['ps', '--json'])).includes('sleep'));
    await typist.type('\x1a');
    await typist.shows('Stopped    sleep 100');
    await typist.type('bg\r');
    await typist.shows('Running    sleep 100 &');
    await typist.type('fg\r');
    await typist.shows(/Running[\s\S]*\nsleep 100\r\n/);
    // It has the terminal a moment after that.
    await sleep(1_000);
    await typist.type('\x03');
    await typist.type('echo "ended by $?"\r');
    await typist.shows('ended by 130');
    await typist.type('sleep 200 &\r');
    await typist.shows(/\[1\] \d+\r/);
    await typist.type('\x04');
    expect(await typist.end()).toBe(0);
    await until('nothing is left of it', async () => !(await done(['ps', '--json'])).includes('sleep'));
    expect(await says('@', 'tail -n 1 ~/.sh_history')).toBe('sleep 200 &\n');
  } finally {
    typist.kill();
  }
});

test('at a terminal: programs on other nodes have it as those here have', { timeout: 120_000 }, async () => {
  const typist = new Typist(['login', '--node', 'node1'], cluster.env);
  const isThere = async (name: string) => (await done(['ps', '--json'])).includes(name);
  try {
    await typist.shows('@node1:/home/');
    await typist.type('on node2 sh -c "test -t 0 && test -t 1 && test -t 2 && echo a-\\tty"\r');
    await typist.shows('\na-tty\r', 30_000);
    await typist.type('on node2 sleep 100\r');
    await until('it sleeps', () => isThere('sleep'));
    await typist.type('\x1a');
    await typist.shows('Stopped    on node2 sleep 100');
    // Neither who is stopped nor who is in the background has what is typed.
    await typist.type('on node3 cat &\r');
    await until('it is stopped', async () => {
      const all = JSON.parse(await done(['ps', '--json'])) as { command: string[]; state: string }[];
      return all.some(({ command, state }) => command[0] === 'cat' && state === 'stopped');
    });
    await typist.type('\r');
    await typist.shows(/Stopped +on node3 cat/);
    await typist.type('echo A$((1+1))\r');
    await typist.shows('\nA2\r');
    await typist.type('fg\r');
    await typist.shows(/\non node3 cat\r\n/);
    await sleep(500);
    await typist.type('one line\r');
    await typist.shows(/\none line\r\none line\r/);
    await typist.type('\x04');
    await sleep(500);
    await typist.type('fg\r');
    await typist.shows(/\non node2 sleep 100\r\n/);
    await sleep(500);
    await typist.type('\x03');
    await typist.type('echo "ended by $?"\r');
    await typist.shows('ended by 130');
    // Raw mode, and how large the window is.
    await typist.type('on node2 top\r');
    await typist.shows('Tasks: ');
    await typist.type('q');
    await until('top is over', async () => !(await isThere('"top"')));
    await sleep(500);
    await typist.type(
      `on node2 sh -c 'trap "echo resi\\zed" WINCH; echo lis\\tens; while :; do sleep 0.1; done'\r`,
    );
    await typist.shows('\nlistens');
    typist.resize(40, 120);
    await typist.shows('\nresized');
    await typist.type('\x03');
    await sleep(500);
    // Whoever dies in raw mode does not leave it behind.
    await typist.type('top\r');
    await until('top is there', () => isThere('"top"'));
    await sleep(1_000);
    await says('@', 'pkill -9 top');
    await until('top is over', async () => !(await isThere('"top"')));
    await sleep(500);
    typist.shown = '';
    await typist.type('cat\r');
    await sleep(1_000);
    await typist.type('two lines\r');
    await typist.shows(/\ntwo lines\r\ntwo lines\r/);
    await typist.type('\x04');
    await sleep(500);
    // What came from a login ends with it, wherever it runs.
    await typist.type('on node3 sleep 300 &\r');
    await typist.type('on node2 cat\r');
    await until('it reads', () => isThere('"cat"'));
    await until('it sleeps', () => isThere('sleep'));
    typist.killVkctl();
    await until('nothing is left of it', async () => !/"cat"|sleep/.test(await done(['ps', '--json'])));
  } finally {
    typist.kill();
  }
});

test('at a terminal: what is stopped on several nodes hears that the login is over', {
  timeout: 60_000,
}, async () => {
  const typist = new Typist(['login', '--node', 'node1'], cluster.env);
  const shown = async () => await done(['ps']);
  try {
    await typist.shows('@node1:/home/');
    await typist.type('on node2 sh -c "on node3 cat -u; echo done"\r');
    await until('it reads', async () => (await shown()).includes('  cat -u'));
    await sleep(500);
    await typist.type('\x1a');
    await typist.shows('Stopped    on node2 sh');
    await typist.type('exit\r');
    await sleep(300);
    await typist.type('exit\r');
    await until('nothing is left of it', async () => !(await shown()).includes('cat -u'), 20_000);
  } finally {
    typist.kill();
  }
});

test('a stage whose streams broke is no success', { timeout: 60_000 }, async () => {
  const stage = 'i=0; while [ $i -lt 30 ]; do echo $i; i=$((i + 1)); sleep 0.2; done';
  const running = onNode1(`rm -f lines; on node2 sh -c '${stage}' > lines; echo rc $?; rm lines`);
  await until('it writes', async () => (await onNode1('test -s lines')).code === 0);
  await cluster.kill('node2/vkerneld');
  await cluster.well();
  expect((await running).stdout).toBe('rc 141\n');
});

test('a login without a terminal that is killed ends with all that it started, on all nodes', {
  timeout: 60_000,
}, async () => {
  const scripts = [
    'on node2 sleep 300',
    'sleep 301',
    'sleep 302 | on node2 sh -c "trap \\"\\" HUP; sleep 303"',
  ];
  const vkctl = join(import.meta.dirname, '../../vkctl');
  const logins = scripts.map((script) =>
    startCommand([vkctl, 'login', '--node', 'node1', '@', script], { env: cluster.env }),
  );
  const shown = async () => await done(['ps']);
  await until(
    'they run',
    async () => {
      const rows = await shown();
      return [0, 1, 2, 3].every((i) => rows.includes(`  sleep 30${i}`));
    },
    30_000,
  );
  for (const [i, { child }] of logins.entries()) child.kill(i === 1 ? 'SIGTERM' : 'SIGKILL');
  await until('nothing is left of them', async () => !(await shown()).includes('sleep 30'), 20_000);
});

test('a bomb of forks ends with clear errors, and its neighbours go on', { timeout: 120_000 }, async () => {
  for (const node of ['node1', 'node2', 'node3'])
    await done(['vkernel', 'create', 'alice', '--user', 'alice', '--node', node, '--processes', '6']);
  const bomb = 'f() { if [ $1 -gt 0 ]; then f $(($1 - 1)) & f $(($1 - 1)) & wait; fi; }; f 4; echo over';
  const [alice, bob] = await Promise.all([
    login('alice@', bomb),
    login('bob@', 'seq 3 | sort -r | head -n 1'),
  ]);
  expect(bob).toMatchObject({ code: 0, stdout: '3\n' });
  expect(alice.stdout).toBe('over\n');
  expect(alice.stderr).toMatch(/no more processes may run here now \(EAGAIN\)/);
  expect(await says('alice@', 'echo well')).toBe('well\n');
});

test('a virtual kernel that is halted ends its login with a line', { timeout: 60_000 }, async () => {
  const running = login('bob@', 'echo begun > ~/begun; sleep 30');
  await expect
    .poll(async () => (await done(['ps', '--json'])).includes('sleep'), { timeout: 20_000 })
    .toBe(true);
  await done(['vkernel', 'halt', 'bob', '--user', 'bob']);
  const { code, stderr } = await running;
  expect(code).not.toBe(0);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});
