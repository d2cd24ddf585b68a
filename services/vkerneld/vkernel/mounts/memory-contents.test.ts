// Files whose frames were lost say so, until somebody makes them empty.
import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Errno } from '../wasi/errno.ts';
import { FrameStore, PlainFrames } from './frame-store.ts';
import { MemoryContents } from './memory-contents.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-memory-contents-'));
afterAll(() => rmSync(folder, { recursive: true }));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const io = expect.objectContaining({ errno: Errno.io });

test('what is lost is EIO, written or read, and is a file again when it is emptied', async () => {
  const store = new FrameStore(new PlainFrames(openSync(join(folder, 'frames'), 'w+')), 100);
  const [written, empty] = [new MemoryContents(store), new MemoryContents(store)];
  await written.write(0, bytes('before'));
  for (const each of [written, empty]) each.forget();
  store.forget();

  // Nothing of it was lost.
  expect(empty.read(0, 10)).toHaveLength(0);
  expect(() => written.read(0, 6)).toThrow(io);
  await expect(written.write(undefined, bytes('on'))).rejects.toThrow(io);
  await expect(written.write(0, bytes('on'))).rejects.toThrow(io);
  await expect(written.allocate(10)).rejects.toThrow(io);
  expect(() => written.setSize(3)).toThrow(io);
  expect(() => written.read(0, 6)).toThrow(io);

  written.setSize(0);
  expect(written.read(0, 6)).toHaveLength(0);
  await written.write(undefined, bytes('after'));
  expect(new TextDecoder().decode(written.read(0, 10))).toBe('after');
});

test('a write that waits for frames while they are lost fails', async () => {
  let give: (frames: number) => void = () => {};
  const asked = Promise.withResolvers<void>();
  const frames = new PlainFrames(openSync(join(folder, 'slow'), 'w+'));
  const store = new FrameStore(
    {
      descriptor: () => frames.descriptor(),
      take: (count) => {
        if (frames.left > 0) return frames.take(count);
        asked.resolve();
        return new Promise((resolve) => {
          give = resolve;
        });
      },
      give: (count) => frames.give(count),
    },
    100,
  );
  const contents = new MemoryContents(store);
  await contents.write(0, bytes('before'));
  frames.left = 0;
  const waiting = contents.write(8_192, bytes('more'));
  await asked.promise;
  contents.forget();
  store.forget();
  give(0);
  await expect(waiting).rejects.toThrow(io);
  // It has none, and not fewer.
  expect(store.usedFrames).toBe(0);
});
