// The shell of a login beside this machine's /bin/sh, over scripts by chance: its parser and its expansions know nothing of where
// they run, so a build for this machine stands for that for guests.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LONG } from '../long.ts';
import { ScriptGenerator } from './script-generator.ts';

const SHELL = join(import.meta.dirname, '../../programs/shell');
const SCRIPTS = LONG ? 5_000 : 300;

let folder: string;
let ours: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-shell-'));
  ours = join(folder, 'sh');
  const sources = readdirSync(SHELL)
    .filter((name) => name.endsWith('.c'))
    .map((name) => join(SHELL, name));
  // What posix_spawn has here alone.
  const absent = ['-DPOSIX_SPAWN_SPREAD_NP=0', '-Dposix_spawnattr_setnode_np(how,node)=0'];
  execFileSync('gcc', ['-O1', '-D_GNU_SOURCE', '-w', ...absent, '-I', SHELL, ...sources, '-o', ours]);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(shell: string, args: readonly string[], input = '') {
  const place = mkdtempSync(join(folder, 'place-'));
  mkdirSync(join(place, 't'));
  const env = { PATH: '/usr/bin:/bin', HOME: '/root', T: join(place, 't'), LC_ALL: 'C' };
  const { stdout, stderr, status } = spawnSync(shell, args, { cwd: place, env, input, timeout: 20_000 });
  rmSync(place, { recursive: true });
  return { stdout: stdout.toString(), stderr: stderr.toString(), status };
}

const sh = (script: string) => run(ours, ['-c', script]);

test(`${SCRIPTS} scripts print what /bin/sh prints`, { timeout: 600_000 }, () => {
  for (let seed = 1; seed <= SCRIPTS; seed++) {
    const script = new ScriptGenerator(seed).script();
    const [wanted, got] = [run('/bin/sh', ['-c', script]), run(ours, ['-c', script])];
    const about = (from: typeof got) => ({ seed, script, stdout: from.stdout, status: from.status });
    // What ends with an error may end elsewhere: only that both do so counts.
    if (wanted.status === 2 && wanted.stderr !== '')
      expect({ seed, script, fails: got.status !== 0 }).toEqual({ seed, script, fails: true });
    else expect(about(got)).toEqual(about(wanted));
  }
});

test('history in a pipe, as in the shell itself; a job as it was typed', () => {
  const typed = 'export HOME=$T; printf "one\\ntwo\\n" > $T/.sh_history; history | tail -n 1';
  expect(sh(typed).stdout).toBe('    2  two\n');
  expect(sh('sleep 1 < /dev/null 2>&1 > $T/out & jobs; wait').stdout).toMatch(
    /^\[1\]. Running +sleep 1 < \/dev\/null 2>&1 > \$T\/out &\n/,
  );
});

describe('what a shell says of itself', () => {
  test.each([
    ['if true', 'sh: "the end" is not expected here, but "then"'],
    ['echo "a', 'sh: a " is missing before the end'],
    ['fi', 'sh: "fi" is not expected here'],
    ['echo $((1 / 0))', 'sh: $((1 / 0)): a division by zero'],
    ['nosuch', 'sh: nosuch: there is no such program in /usr/bin:/bin'],
    ['cat < nosuch', 'sh: nosuch: No such file or directory'],
    [`echo \${1x}`, `sh: \${1x}: is no expansion`],
    ['cd nosuch', 'sh: cd: nosuch: there is no such directory'],
    [
      'on',
      'sh: usage: on NODE COMMAND: runs it on that node, any: where the fewest programs run; cat /proc/nodes lists them',
    ],
    ['fg', 'sh: fg: no such job: jobs shows those that there are'],
  ])('%s', (script, said) => {
    const { stderr, status } = run(ours, ['-c', script, 'sh']);
    expect(stderr.trim()).toBe(said);
    expect(status).not.toBe(0);
  });

  test('where in a script', () => {
    const { stderr } = run(ours, ['-c', 'true\ntrue\nnosuch\n', 'name']);
    expect(stderr).toBe('name: 3: nosuch: there is no such program in /usr/bin:/bin\n');
  });
});

describe('jobs', () => {
  test('wait knows how each ended', () => {
    expect(sh('(exit 3) & a=$!; (exit 4) & wait $!; echo $?; wait $a; echo $?; wait 1; echo $?').stdout).toBe(
      '4\n3\n127\n',
    );
  });

  test('jobs shows them, kill ends them', () => {
    expect(sh('sleep 100 & jobs; kill %1; wait %1; echo $?; jobs').stdout).toBe(
      '[1]+ Running    sleep 100 &\n143\n',
    );
  });

  test('a line of standard input is for the shell, what follows for who reads it', () => {
    expect(run(ours, [], 'read line\nfor the shell\ncat\nfor cat\n').stdout).toBe('for cat\n');
    expect(run(ours, [], 'read line; echo "[$line]"\nfor read\n').stdout).toBe('[for read]\n');
  });
});

test('what a command takes; who one is; what one may have open', () => {
  const timed = sh('time -p sleep 0.2 | true; ! time false; echo $?; { time { echo in; }; } | cat');
  expect(timed.stdout).toBe('0\nin\n');
  expect(timed.stderr).toMatch(/^real 0\.[2-9]\d\nreal 0\.0\d\nreal 0\.0\d\n$/);
  expect(sh('time=3; echo time $time').stdout).toBe('time 3\n');
  expect(sh('USER=alice; whoami; id; id -u; ulimit -n').stdout).toBe(
    'alice\nuid=0(alice) gid=0(alice) groups=0(alice)\n0\n1024\n',
  );
  expect(sh('USER=alice; id -un; id -u -n; id -Gr; ulimit -Hn; ulimit -c 0 && ulimit -s').stdout).toBe(
    'alice\nalice\n0\n1024\nunlimited\n',
  );
  expect(sh('ulimit -n 5').stderr).toContain('vkctl vkernel set');
  for (const wrong of ['id -z', 'id --help', 'id root', 'id -n', 'ulimit -z'])
    expect(sh(wrong).status).toBe(2);
});

test('what is deep or long ends with a line', { timeout: 60_000 }, () => {
  const deep = `${'('.repeat(3_000)}echo${')'.repeat(3_000)}`;
  expect(sh(deep).stderr).toMatch(/^.*commands within commands, more than 200 deep\n$/);
  expect(sh('f() { f; }; f').stderr).toMatch(/functions within functions, more than 200 deep/);
  expect(sh(`echo ${'$(echo '.repeat(12)}x${')'.repeat(12)}`).stdout).toBe('x\n');
  expect(sh(`x=${'y'.repeat(100_000)}; cat <<E | wc -c\n$x$x\nE`).stdout.trim()).toBe('200001');
});
