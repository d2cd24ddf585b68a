import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import {
  createOutputRing,
  OutputReader,
  OutputWindow,
  OutputWriter,
  outputBytesMax,
  untakenPiecesMax,
} from './output-ring.ts';
import { Errno } from './wasi/errno.ts';

test('keeps bytes and the order of streams, and joins what belongs together', () => {
  const ring = createOutputRing();
  let rung = 0;
  const writer = new OutputWriter(ring, () => rung++);
  const reader = new OutputReader(ring);
  for (const text of ['a', 'b', 'c']) writer.write(1, Buffer.from(text));
  writer.write(2, Buffer.from('error'));
  writer.write(1, Buffer.from('d'));
  writer.write(1, new Uint8Array(0));
  expect(rung).toBe(1);
  reader.answerRing();
  const taken = [];
  for (let piece = reader.take(); piece !== undefined; piece = reader.take()) {
    taken.push([piece.stream, Buffer.from(piece.data).toString()]);
  }
  expect(taken).toEqual([
    [1, 'abc'],
    [2, 'error'],
    [1, 'd'],
  ]);
  writer.write(1, Buffer.from('e'));
  expect(rung).toBe(2);
});

test('a writer in a thread and a slow reader: nothing lost, nothing twice', async () => {
  const ring = createOutputRing();
  const script = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { OutputWriter } = await import(${JSON.stringify(new URL('./output-ring.ts', import.meta.url).href)});
    const writer = new OutputWriter(workerData, () => parentPort.postMessage('rung'));
    let next = 0;
    for (let i = 0; i < 4000; i++) {
      const bytes = new Uint8Array((i * 7919) % 2111 + (i % 1000 === 0 ? 300000 : 0));
      for (let j = 0; j < bytes.length; j++) bytes[j] = next++;
      writer.write(1, bytes);
    }
    parentPort.postMessage(next);`;
  const worker = new Worker(script, { eval: true, execArgv: ['--input-type=module'], workerData: ring });
  const reader = new OutputReader(ring);
  let next = 0;
  const drain = (): void => {
    reader.answerRing();
    for (let piece = reader.take(); piece !== undefined; piece = reader.take()) {
      expect(piece.data.length).toBeLessThanOrEqual(outputBytesMax);
      for (const byte of piece.data)
        if (byte !== (next++ & 0xff)) throw new Error(`byte ${next - 1} is ${byte}`);
    }
  };
  const total = await new Promise<number>((resolve, reject) => {
    worker.on('error', reject);
    worker.on('message', (message: 'rung' | number) => {
      drain();
      if (message !== 'rung') resolve(message);
    });
  });
  expect(next).toBe(total);
  await worker.terminate();
});

test('the window closes on bytes and on pieces', () => {
  const window = new OutputWindow();
  for (let i = 0; i < untakenPiecesMax; i++) {
    expect(window.isOpen).toBe(true);
    window.sent(2);
  }
  expect(window.isOpen).toBe(false);
  window.taken(1);
  expect(window.isOpen).toBe(false);
  window.taken(1);
  expect(window.isOpen).toBe(true);
  window.sent(1 << 20);
  expect(window.isOpen).toBe(false);
  window.forget();
  expect(window.isOpen).toBe(true);
  window.taken(100);
  window.sent(50);
  window.taken(49);
  window.taken(1);
  expect(window.isOpen).toBe(true);
});

test('what nobody reads is EPIPE for its writer, and other streams go on', () => {
  const ring = createOutputRing();
  const reader = new OutputReader(ring);
  const writer = new OutputWriter(ring, () => {});
  writer.write(1, Buffer.from('a'));
  reader.close(1);
  expect(() => writer.write(1, Buffer.from('b'))).toThrow(expect.objectContaining({ errno: Errno.pipe }));
  writer.write(2, Buffer.from('c'));
  expect(String(reader.take()?.data)).toBe('97');
  expect(reader.take()).toMatchObject({ stream: 2 });
});
