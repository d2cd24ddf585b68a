// docs/tutorials: each page, from its `vkctl up` to its `vkctl down`, typed into a shell as it stands there. REWRITE=1 writes what was
// printed into the pages.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, describe, expect, test } from 'vitest';
import { systemPath } from '../guests/toolchain.ts';
import { hasGo, hasRust, RUSTC } from '../languages/toolchains.ts';
import { freePorts } from '../sockets/free-ports.ts';
import { type Command, Tutorial } from './tutorial.ts';

const ROOT = join(import.meta.dirname, '../..');
const MINUTE = 60_000;
const END = '--- end of a command ---';

const folder = mkdtempSync(join(tmpdir(), 'odonata-tutorials-'));
afterAll(() => rmSync(folder, { recursive: true }));
const pages = globSync('docs/tutorials/*.md', { cwd: ROOT }).sort();

/** `vkctl` and `rustc`, as the page has them; ports and names are our own. */
function commandsIn(dir: string): void {
  const home = join(dir, '../home');
  const command = (name: string, script: string) => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(dir, name), 0o755);
  };
  command(
    'vkctl',
    `[ "$1" != up ] || set -- "$@" --port 0 --timeout 120 --node-memory 128M
[ "$ODONATA_HOME" = '${home}' ] || unset ODONATA_CLUSTER
exec '${ROOT}/vkctl' "$@"`,
  );
  command(
    'rustc',
    `for word; do shift; [ "$word" = wasm32-wasip1 ] && word=wasm32-wasi; set -- "$@" "$word"; done
exec ${RUSTC} "$@"`,
  );
}

async function typed(commands: readonly Command[], cwd: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const script = commands.map(({ line }) => `${line}\necho '${END}'\n`).join('');
  const shell = spawn('bash', ['-c', `exec 2>&1\n${script}`], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = await text(shell.stdout);
  return said.split(`${END}\n`).slice(0, -1);
}

/** Two at a time: each starts a cluster. */
const pairs = pages.flatMap((_, i) => (i % 2 === 0 ? [pages.slice(i, i + 2)] : []));

describe.each(pairs.map((pair) => [pair]))('docs/tutorials: %s', (pair) => {
  test.concurrent.each(pair)(
    '%s',
    async (path: string) => {
      // Other clusters of this machine may have such names.
      const mark = `-${process.pid}-${pages.indexOf(path)}`;
      const page = new Tutorial(readFileSync(join(ROOT, path), 'utf8'));
      const dir = join(folder, basename(path, '.md'));
      for (const each of ['bin', 'work', 'home']) mkdirSync(join(dir, each), { recursive: true });
      commandsIn(join(dir, 'bin'));
      for (const { name, text: program } of page.files) writeFileSync(join(dir, 'work', name), program);
      const [port] = await freePorts(1);
      const has: Readonly<Record<string, boolean>> = { rust: hasRust, go: hasGo };
      const commands = page.commands.filter(({ needs }) => needs === undefined || has[needs]);
      const ours = (line: string) =>
        line
          .replaceAll('8080', `${port}`)
          .replace(/(--cluster |ODONATA_CONTEXT=)(east|west)/g, (name) => `${name}${mark}`);
      const env: NodeJS.ProcessEnv = {
        ...process.env,
        ...{ PATH: `${join(dir, 'bin')}:${systemPath()}`, HOME: join(dir, 'home'), ODONATA: ROOT },
        ...{
          ODONATA_HOME: join(dir, 'home'),
          ODONATA_CLUSTER: `default${mark}`,
          NO_COLOR: '1',
          COLUMNS: '120',
        },
        ...{ GOCACHE: join(folder, 'go-cache'), GOFLAGS: '-modcacherw', GOPATH: join(folder, 'go') },
      };
      for (const name of ['ODONATA_SYSLINK', 'ODONATA_CONTEXT']) delete env[name];
      const printed = await typed(
        commands.map((command) => ({ ...command, line: ours(command.line) })),
        join(dir, 'work'),
        env,
      );
      // What a command that failed left.
      for (const cluster of ['default', 'east', 'west'])
        spawnSync(join(ROOT, 'vkctl'), ['down', '--quiet', '--cluster', `${cluster}${mark}`], {
          env,
          stdio: 'ignore',
        });
      const theirs = printed.map((output) =>
        output
          .replaceAll(mark, '')
          .replaceAll(`${port}`, '8080')
          .replace(/(router at 127\.0\.0\.1:)\d+/, '$17411')
          .replace('vkctl down -c default', 'vkctl down'),
      );
      if (process.env.REWRITE) writeFileSync(join(ROOT, path), page.rewritten(commands, theirs));
      // What Rust and Go would have added is missing without them.
      const count = (output: string) =>
        has.rust && has.go ? output : output.replace(/^\d+(?=$| from)/gm, '#');
      expect(
        commands.map(({ line }, at) => ({
          line,
          said: comparable(count(theirs[at] ?? 'nothing: the shell ended')),
        })),
      ).toEqual(commands.map(({ line, output }) => ({ line, said: comparable(count(output)) })));
    },
    4 * MINUTE,
  );
});

/** Times and ports differ from run to run; layout follows them. */
function comparable(output: string): string[] {
  return output
    .replace(/\b\d+(\.\d+)?(ms|s|m)\b/g, '#')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:#')
    .split('\n')
    .map((line) => line.trim().replace(/\s+/g, ' '))
    .filter((line) => line !== '');
}
