// What is made of the same as --help: completion, in each shell that is here, and man pages. No cluster is needed.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { createProgram } from '../program.ts';
import { findTool } from '../supervisor/tool.ts';
import { complete } from './complete.ts';
import { commandsOf } from './walk.ts';

const launcher = fileURLToPath(new URL('../bin/vkctl.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'odonata-help-'));
const env = { ...process.env, ODONATA_HOME: join(folder, 'home'), ODONATA_CLUSTER: 'none' };
afterAll(() => rmSync(folder, { recursive: true }));

const run = (command: string, ...args: string[]) =>
  spawnSync(command, args, { encoding: 'utf8', env, timeout: 60_000 });
const vkctl = (...args: string[]) => run(process.execPath, launcher, ...args);

/** Without what each means; the last is what the shell does about files. */
const offered = async (...words: string[]): Promise<string[]> =>
  (await complete(await createProgram(), words)).map((line) => line.split('\t')[0]!);

describe('completion', () => {
  it('knows commands, options and choices', async () => {
    expect(await offered('do')).toEqual(['down', 'doctor', ':4']);
    expect(await offered('ds', 's')).toEqual(['save', 'stat', 'sync', ':4']);
    expect(await offered('ps', '--w')).toEqual(['--watch', ':4']);
    expect(await offered('user', 'add', 'bob', '--role', 'o')).toEqual(['operator', ':4']);
    expect(await offered('events', '--severity=w')).toEqual(['--severity=warning', ':4']);
    expect(await offered('events', '--kind', 'sy')).toEqual(['sync-failed', ':4']);
    expect(await offered('completion', '')).toEqual(['bash', 'zsh', 'fish', ':4']);
    expect(await offered('snapshot', 't')).toEqual(['take', ':4']);
    expect(await offered('snapshot', '100001', '')).toEqual([':4']);
  });

  it('leaves files to the shell, and to a program what is its own', async () => {
    expect(await offered('run', '')).toEqual([':0']);
    expect(await offered('run', 'x.wasm', '--no')).toEqual([':0']);
    expect(await offered('run', '--memory', '1G', '--detach-')).toEqual(['--detach-keys', ':4']);
    expect(await offered('ds', 'load', 'text', '')).toEqual([':0']);
    expect(await offered('ds', 'create', '')).toEqual([':4']);
  });

  it.each(['bash', 'fish', 'zsh'])('completes in %s', (shell) => {
    const { stdout, status } = vkctl('completion', shell);
    expect(status).toBe(0);
    const file = join(folder, `completion.${shell}`);
    writeFileSync(file, stdout);
    // Of zsh the grammar: its completion needs a terminal.
    if (findTool(shell) === undefined)
      return console.warn(`${shell} is not here: its completion was not tried`);
    if (shell === 'zsh') {
      expect(run('zsh', '-n', file)).toMatchObject({ status: 0, stderr: '' });
      return;
    }
    const ask = {
      fish: `source ${file}; complete -C 'vkctl ds st'`,
      bash: `compopt() { :; }; source ${file}; COMP_LINE='vkctl ds $(touch\${IFS}${folder}/ran) st'
        COMP_POINT=\${#COMP_LINE}; __vkctl_complete vkctl; COMP_LINE='vkctl ds st'; COMP_POINT=\${#COMP_LINE}
        "$(complete -p vkctl | sed 's/.*-F \\([^ ]*\\).*/\\1/')" vkctl; printf '%s\\n' "\${COMPREPLY[@]}"`,
    }[shell]!;
    const bare = shell === 'bash' ? ['--norc'] : [];
    expect(run(shell, ...bare, '-c', ask).stdout).toMatch(/^stat\b.*\n$/);
    // What stands in the line is not run.
    expect(readdirSync(folder)).not.toContain('ran');
  });
});

describe('man pages', () => {
  it('are there for every command, with each of its options', async () => {
    const out = join(folder, 'man1');
    expect(vkctl('man', '--out', out, '-q')).toMatchObject({ status: 0, stdout: '', stderr: '' });
    const all = commandsOf(await createProgram());
    expect(readdirSync(out)).toHaveLength(all.length);
    for (const { words, command } of all) {
      const page = readFileSync(
        join(out, `${['vkctl', ...words.split(' ')].filter(Boolean).join('-')}.1`),
        'utf8',
      );
      for (const { long } of command.options) expect(page, words).toContain(long!.replaceAll('-', '\\-'));
      expect(page).not.toMatch(/^[.'](?!TH|SH|TP|B |BR|PP|nf|fi)/m);
    }
    if (findTool('man') === undefined) return console.warn('man is not here: no page was set');
    for (const page of ['vkctl.1', 'vkctl-run.1', 'vkctl-ds-load.1']) {
      const set = run('man', '--warnings', '-l', join(out, page));
      expect(set, page).toMatchObject({ status: 0, stderr: '' });
      expect(set.stdout).toContain('SYNOPSIS');
    }
  });
});
