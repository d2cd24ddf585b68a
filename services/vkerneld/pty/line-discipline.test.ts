// Whatever is typed, with whatever settings: what the program reads and what is shown is what this machine's kernel makes of it.
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { LONG } from '../../../test/long.ts';
import { type Effects, LineDiscipline } from './line-discipline.ts';
import { Input, initialSettings, Local, Output } from './settings.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const typed = (discipline: LineDiscipline, bytes: string): Effects => discipline.input(Buffer.from(bytes));

describe('a terminal as a login finds it', () => {
  test('a line is edited, echoed, and read whole', () => {
    const { echo, pieces } = typed(new LineDiscipline(initialSettings), 'helo\x7flo there\x17you\r');
    expect(pieces.map((piece) => (piece === 'end' ? piece : text(piece)))).toEqual(['hello you\n']);
    expect(text(echo)).toBe(`helo\b \blo there${'\b \b'.repeat(5)}you\r\n`);
  });

  test('signals, and what was typed before them is gone', () => {
    const effects = typed(new LineDiscipline(initialSettings), 'abc\x03d\x1a\x1c');
    expect(effects.signals).toEqual(['SIGINT', 'SIGTSTP', 'SIGQUIT']);
    expect(effects.flushes).toBe(true);
    expect(effects.pieces).toEqual([]);
    expect(text(effects.echo)).toBe('^\\');
  });

  test('Ctrl-D ends a line without its end, and the input where there is none', () => {
    const { pieces } = typed(new LineDiscipline(initialSettings), 'ab\x04\x04');
    expect(pieces.map((piece) => (piece === 'end' ? piece : text(piece)))).toEqual(['ab', 'end']);
  });

  test('raw mode gives each byte, and what was typed of a line', () => {
    const discipline = new LineDiscipline(initialSettings);
    typed(discipline, 'half');
    const raw = { ...initialSettings, local: 0, input: 0 };
    expect(text(discipline.change(raw) ?? new Uint8Array())).toBe('half');
    expect(typed(discipline, '\x03\r\x7f').pieces).toEqual([Uint8Array.of(3, 13, 127)]);
  });
});

const kernel = (() => {
  if (spawnSync('python3', ['--version']).status !== 0) return undefined;
  const child = spawn('python3', [join(import.meta.dirname, 'linux-terminal.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const ask = async (what: object): Promise<{ echo: string; reads: string[] }> => {
    child.stdin.write(`${JSON.stringify(what)}\n`);
    return JSON.parse((await lines.next()).value ?? '');
  };
  return { ask, end: () => child.kill() };
})();
afterAll(() => kernel?.end());

const some = (flags: Readonly<Record<string, number>>) =>
  fc.subarray(Object.values(flags)).map((chosen) => chosen.reduce((all, flag) => all | flag, 0));
const keys = fc.oneof(
  { weight: 1, arbitrary: fc.constant('\t') },
  { weight: 6, arbitrary: fc.constantFrom(...'ab c_1') },
  { weight: 3, arbitrary: fc.constantFrom('\x7f', '\x17', '\x15', '\x16', '\r', '\n', '\x12', '\x04') },
  { weight: 1, arbitrary: fc.constantFrom('\x03', '\x1c', '\x1a', '\x01', '\x1b', 'é', '€', '.') },
);

test.skipIf(kernel === undefined)('as Linux does it', async () => {
  await fc.assert(
    fc.asyncProperty(
      ...([some(Input), some(Output), some(Local), fc.array(keys, { maxLength: 40 })] as const),
      async (input, output, local, typing) => {
        const settings = { ...initialSettings, input, output, local };
        const bytes = Buffer.from(typing.join(''));
        const { characters } = settings;
        const said = await kernel!.ask({
          ...settings,
          characters: [...characters],
          typed: [bytes.toString('hex')],
        });
        const { echo, pieces } = new LineDiscipline(settings).input(bytes);
        expect(Buffer.from(echo).toString('latin1')).toBe(Buffer.from(said.echo, 'hex').toString('latin1'));
        const reads = pieces.map((piece) => (piece === 'end' ? '' : Buffer.from(piece).toString('hex')));
        expect(reads).toEqual(said.reads);
      },
    ),
    { numRuns: LONG ? 20_000 : 300 },
  );
});
