import type { Writable } from 'node:stream';

const broken = new WeakMap<Writable, NodeJS.ErrnoException>();
const watched = new WeakSet<Writable>();

/** Writes with back pressure. False: nobody reads it any more (EPIPE), as after `| head`. @throws what the file system says */
export async function writeTo(stream: Writable, data: Uint8Array): Promise<boolean> {
  if (!watched.has(stream)) {
    watched.add(stream);
    stream.on('error', (error: NodeJS.ErrnoException) => void broken.set(stream, error));
  }
  if (!isWhole(stream)) return false;
  await new Promise<void>((resolve) => {
    // The callback comes when the bytes are with the kernel: what follows may exit without loss.
    stream.write(data, () => resolve());
  });
  return isWhole(stream);
}

function isWhole(stream: Writable): boolean {
  const error = broken.get(stream);
  if (error !== undefined && error.code !== 'EPIPE') throw error;
  return error === undefined;
}
