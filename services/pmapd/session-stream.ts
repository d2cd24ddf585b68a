// The stream of a session towards a virtual kernel that may not read what it is answered: then nothing more is read of it until
// it does, and where even what it is told unasked grows too long, its session ends.
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { SessionRequest, SessionResponse } from '@odonata/proto/pmap/v1/pmap';
import type { RpcError } from '@odonata/rpc/error.ts';
import { failStream } from '@odonata/rpc/server.ts';
import type { SessionStream } from './session.ts';

/** Messages that wait for a reader. One a second is told unasked. */
const UNREAD_MAX = 10_000;

export function boundedStream(
  call: ServerDuplexStream<SessionRequest, SessionResponse>,
  onFlood: () => void,
): SessionStream {
  let unread = 0;
  const drained = (): void => {
    unread = 0;
    call.resume();
  };
  return {
    write(message) {
      if (call.write(message)) return true;
      unread++;
      if (unread === 1) {
        call.pause();
        call.once('drain', drained);
      } else if (unread === UNREAD_MAX) onFlood();
      return false;
    },
    fail: (error: RpcError) => failStream(call, error),
  };
}
