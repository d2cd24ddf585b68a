// Any descriptor that read(2) and epoll(7) work on, in Node's event loop. Node offers this for sockets, pipes and
// terminals only, and refuses others by their type; its pipe handle, below net.Socket, asks for nothing but a descriptor.
import { Socket } from 'node:net';
import { duplicate, SystemCallError } from './libc.ts';

/** Node's own: the part of libuv that net.Socket stands on. */
interface PipeBinding {
  Pipe: new (type: number) => { open(fd: number): number };
  constants: { SOCKET: number };
}

/**
 * Calls `onBytes` after each read into `buffer`. The descriptor must not block; it is duplicated, so it stays the
 * caller's. The result ends it.
 */
export function watchDescriptor(
  fd: number,
  buffer: Uint8Array,
  onBytes: (byteCount: number) => void,
): () => void {
  const { Pipe, constants } = (process as unknown as { binding(name: string): PipeBinding }).binding(
    'pipe_wrap',
  );
  const handle = new Pipe(constants.SOCKET);
  const errno = handle.open(duplicate(fd));
  if (errno !== 0) throw new SystemCallError('uv_pipe_open', -errno);
  const callback = (byteCount: number): boolean => {
    onBytes(byteCount);
    return true;
  };
  const socket = new Socket({
    handle,
    readable: true,
    writable: false,
    onread: { buffer, callback },
  } as object);
  // The descriptor is broken: whoever waits for it would wait for ever.
  socket.on('error', (error) => {
    throw new Error('a watched descriptor cannot be read', { cause: error });
  });
  socket.resume();
  return () => socket.destroy();
}
