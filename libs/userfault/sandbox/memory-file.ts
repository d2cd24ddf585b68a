// Bytes that a child process gets as a descriptor, and that have no name: memfd_create(2).
import { writeSync } from 'node:fs';
import koffi from 'koffi';

const memfd_create = koffi.load('libc.so.6').func('int memfd_create(const char *name, unsigned int flags)');
const MFD_CLOEXEC = 1;

/** A new descriptor, at its first byte. The caller closes it. @throws Error */
export function memoryFile(name: string, bytes: Uint8Array = new Uint8Array()): number {
  const fd = memfd_create(`odonata ${name}`, MFD_CLOEXEC);
  if (fd === -1) throw new Error(`memfd_create: errno ${koffi.errno()}`);
  // At a place of its own: whoever reads begins at the start.
  if (bytes.length > 0) writeSync(fd, bytes, 0, bytes.length, 0);
  return fd;
}
