// A file that is a standard stream on another node, beside whoever has it here: nobody moves the position under the other.
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { FileStream } from './file-streams.ts';
import { Limits } from './limits.ts';
import { Fdflags } from './wasi/abi.ts';
import { FilePosition } from './wasi/file-position.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-streams-'));
afterAll(() => rmSync(folder, { recursive: true }));

function streamOf(name: string, text: string, flags = 0, limits?: Limits, lost = () => {}) {
  const path = join(folder, name);
  writeFileSync(path, text);
  const position = FilePosition.at(0n);
  const about = {
    filetype: 4,
    seekable: true,
    readOnly: false,
    counted: limits !== undefined,
    rights: 0n,
    inheriting: 0n,
    lost: 0n,
  };
  const host = openSync(path, flags === 0 ? 'r+' : 'a+');
  const stream = new FileStream(
    { to: 0, host, file: { ...about, flags, position: position.cell } },
    limits,
    lost,
  );
  return { stream, position, path };
}

test('a read waits for who moves the position, and begins where that ends', async () => {
  const { stream, position } = streamOf('read', 'abcdef');
  const letGo = position.hold(7);
  const read = stream.read(2);
  await new Promise(setImmediate);
  position.bytes = 3n;
  letGo();
  expect(Buffer.from(await read).toString()).toBe('de');
  expect(position.bytes).toBe(5n);
  stream.end();
});

test('reads at one time share the bytes, and none has another one’s', async () => {
  const { stream, position } = streamOf('both', 'abcdef');
  const pieces = await Promise.all([stream.read(3), stream.read(3)]);
  expect(pieces.map((piece) => Buffer.from(piece).toString()).sort()).toEqual(['abc', 'def']);
  // What was not read after all is there for others; but not where somebody went on meanwhile.
  stream.putBack(2);
  await stream.read(0);
  expect(position.bytes).toBe(4n);
  position.bytes = 6n;
  stream.putBack(2);
  await stream.read(0);
  expect(position.bytes).toBe(6n);
  stream.end();
});

test('writes at one time with a holder come after each other; the position of one that appends is its end', async () => {
  const { stream, position, path } = streamOf('write', '123456', Fdflags.append);
  const letGo = position.hold(7);
  const written = new Promise<void>((resolve) => stream.write(Buffer.from('xy'), resolve));
  await new Promise(setImmediate);
  position.bytes = 2n;
  letGo();
  await written;
  expect(readFileSync(path, 'utf8')).toBe('123456xy');
  expect(position.bytes).toBe(8n);
  stream.end();
});

test('what a file of the home grows by is counted; where there is no room for more the writer is told', async () => {
  const limits = new Limits();
  limits.countHome();
  limits.boundHome(10n);
  let lost = 0;
  const { stream, path } = streamOf('home', '123456', Fdflags.append, limits, () => lost++);
  for (const text of ['abcdefgh', 'ijkl', 'm'])
    await new Promise<void>((resolve) => stream.write(Buffer.from(text), resolve));
  expect(readFileSync(path, 'utf8')).toBe('123456abcdefghij');
  expect(limits.homeGrew).toBe(10n);
  expect(lost).toBe(2);
  stream.end();
});
