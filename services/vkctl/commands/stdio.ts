import type { Writable } from 'node:stream';

const broken = new WeakSet<Writable>();
const watched = new WeakSet<Writable>();

/** Writes with back pressure. False: nobody reads it any more (EPIPE), as after `| head`. */
export async function writeTo(stream: Writable, data: Uint8Array): Promise<boolean> {
  if (!watched.has(stream)) {
    watched.add(stream);
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      broken.add(stream);
    });
  }
  if (broken.has(stream)) return false;
  await new Promise<void>((resolve) => {
    // The callback comes when the bytes are with the kernel: what follows may exit without loss.
    stream.write(data, () => resolve());
  });
  return !broken.has(stream);
}
