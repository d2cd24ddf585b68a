import { mkdtempSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { EXIT, Failure } from '../failure.ts';
import { commandsOf } from '../help/walk.ts';
import { json } from '../json.ts';
import { endProgress, plainText, printError, showProgress } from '../output.ts';
import { createProgram } from '../program.ts';
import { readProgram } from '../program-file.ts';
import { table } from '../table.ts';
import { withCarets } from './carets.ts';
import { sinceMs } from './events.ts';
import { parsePid } from './pid.ts';
import { shownCommand } from './ps.ts';
import { expandKillSignal, signalName } from './signal-name.ts';

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return { ...fs, writeSync: vi.fn(fs.writeSync) };
});

const folder = mkdtempSync(join(tmpdir(), 'odonata-commands-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('kill takes signals as kill(1) does', () => {
  const kill = (...words: string[]): string[] =>
    expandKillSignal(['node', 'vkctl', 'kill', ...words]).slice(3);
  expect(kill('-9', '100001')).toEqual(['--signal', '9', '100001']);
  expect(kill('-SIGINT', '-c', 'x', '1')).toEqual(['--signal', 'SIGINT', '-c', 'x', '1']);
  expect(kill('-s', 'KILL', '1')).toEqual(['-s', 'KILL', '1']);
  expect(expandKillSignal(['node', 'vkctl', 'run', 'kill', '-9'])).toEqual([
    'node',
    'vkctl',
    'run',
    'kill',
    '-9',
  ]);
  expect(['9', 'kill', 'SIGINT', 'TERM', '2'].map(signalName)).toEqual([
    'SIGKILL',
    'SIGKILL',
    'SIGINT',
    'SIGTERM',
    'SIGINT',
  ]);
  expect(signalName('USR1')).toBe('SIGUSR1');
  expect(() => signalName('SEGV')).toThrow(/not a signal/);
});

test('since when: a span before now, or a time', () => {
  expect(sinceMs('90s', 1_000_000)).toBe(910_000);
  expect(sinceMs('2h', 10_000_000)).toBe(2_800_000);
  expect(sinceMs('2026-01-31T12:00Z')).toBe(Date.UTC(2026, 0, 31, 12));
  for (const bad of ['', 'x', '10', '5y', '-1s']) expect(() => sinceMs(bad), bad).toThrow(/Give a span/);
});

test('a pid is a number', () => {
  expect(parsePid('200007')).toBe(200_007n);
  for (const bad of ['', '0', '-1', '1.5', 'x', '9'.repeat(19)]) expect(() => parsePid(bad)).toThrow(Failure);
});

test('what is no module is refused before it travels', () => {
  const write = (name: string, hex: string): string => {
    const path = join(folder, name);
    writeFileSync(path, Buffer.from(hex, 'hex'));
    return path;
  };
  const codeOf = (path: string): number => {
    try {
      readProgram(path);
      return EXIT.ok;
    } catch (error) {
      return (error as Failure).exitCode;
    }
  };
  expect(codeOf(write('good.wasm', '0061736d01000000'))).toBe(EXIT.ok);
  expect(codeOf(write('elf', '7f454c4602010100'))).toBe(EXIT.runNotExecutable);
  expect(codeOf(write('component.wasm', '0061736d0d000100'))).toBe(EXIT.runNotExecutable);
  expect(codeOf(write('empty.wasm', ''))).toBe(EXIT.runNotExecutable);
  expect(codeOf(folder)).toBe(EXIT.runNotExecutable);
  expect(codeOf(join(folder, 'missing.wasm'))).toBe(EXIT.runNotFound);
});

test('a command is one line of a table, however long and whatever is in it', () => {
  expect(shownCommand(['cat', 'a b', ''])).toBe('cat a b ');
  expect(shownCommand(['cat', 'a\nb\u001b[31m'])).toBe('cat a?b?[31m');
  expect(shownCommand(['cat', 'x'.repeat(100_000)])).toBe(`cat ${'x'.repeat(116)}…`);
});

test('tables and JSON', () => {
  const columns = [{ head: 'NAME' }, { head: 'PAGES', align: 'right' as const }];
  expect(
    table(columns, [
      ['a', 5n],
      ['long name', 12],
    ]),
  ).toBe('NAME       PAGES\na              5\nlong name     12');
  expect(table(columns, [])).toBe('NAME  PAGES');
  const value = { $typeName: 'x', small: 5n, bytes: Uint8Array.of(1) };
  expect(JSON.parse(json(value))).toEqual({ small: 5, bytes: 'AQ==' });
});

test('every command has a summary, a description and an example', async () => {
  for (const { words: name, command } of commandsOf(await createProgram()).slice(1)) {
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    expect(command.summary(), name).not.toBe('');
    // Lines are broken where the terminal is at its end, paragraphs by an empty one.
    expect(command.description().replaceAll('\n\n', ' '), name).not.toContain('\n');
    expect(help, name).toContain('Examples:\n  $ ');
  }
});

test('who mistypes a command is sent to its own help', async () => {
  for (const [words, help] of [
    [['ds', 'load', 'text'], 'vkctl ds load --help'],
    [['ds', 'lod'], 'vkctl ds --help'],
    [['ps', '--jsn'], 'vkctl ps --help'],
    [['pss'], 'vkctl --help'],
  ] as const) {
    const program = await createProgram();
    let said = '';
    for (const each of commandsOf(program).map(({ command }) => command))
      each.configureOutput({ outputError: (text) => (said += text), writeErr: (text) => (said += text) });
    await expect(program.parseAsync(['node', 'vkctl', ...words])).rejects.toThrow();
    expect(said).toContain(`(see "${help}")`);
  }
});

test('progress fits the terminal, and what is printed next takes its place', () => {
  const { isTTY, columns } = process.stderr;
  const wrote = vi.mocked(writeSync).mockImplementation((_, data) => (data as unknown as Buffer).length);
  Object.assign(process.stderr, { isTTY: true, columns: 10 });
  try {
    showProgress('0/9 ready, waiting for cohd');
    printError('vkctl: no');
    // One that was never told its size.
    for (const none of [0, undefined]) {
      Object.assign(process.stderr, { columns: none });
      showProgress('text: 4 MiB');
    }
    endProgress();
  } finally {
    Object.assign(process.stderr, { isTTY, columns });
  }
  expect(wrote.mock.calls.map(([, data]) => String(data))).toEqual([
    '\r\x1b[K0/9 ready',
    '\r\x1b[K',
    'vkctl: no\n',
    '\r\x1b[Ktext: 4 MiB',
    '\r\x1b[Ktext: 4 MiB',
    '\r\x1b[K',
  ]);
  wrote.mockReset();
});

test('what others wrote does nothing to a terminal', () => {
  const evil = 'a\u001b]0;title\u0007b\u009b2Jc\u202ed\ne';
  expect(plainText(evil)).toBe('a?]0;title?b?2Jc?d?e');
  expect(table([{ head: 'COMMAND' }], [[evil]])).toBe('COMMAND\na?]0;title?b?2Jc?d?e');
  const shown = (text: string) => Buffer.from(withCarets(Buffer.from(text))).toString();
  expect(shown('\u001b[2Jx\ty\r\nz\rover\u0007\u007f\u009b1m é\n')).toBe(
    '^[[2Jx\ty\r\nz^Mover^G^?M-^[1m é\n',
  );
});
