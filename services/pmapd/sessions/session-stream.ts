// The stream of a session towards a virtual kernel that may not read what it is answered: then nothing more is read of it until
// it does, and where even what it is told unasked grows too long, its session ends.
import type { MessageShape } from '@bufbuild/protobuf';
import type { SessionRequest, SessionResponseSchema } from '@odonata/proto/pmap/v1/pmap';
import type { RpcError } from '@odonata/rpc/error.ts';
import { PARKED_MAX, type RawCall } from '@odonata/rpc/raw-call.ts';

/** Messages that wait for a reader, fewer than end any stream. One a second is told unasked. */
const UNREAD_MAX = PARKED_MAX / 2;

/** The stream of a session; what it needs of gRPC. */
export interface SessionStream {
  write(message: MessageShape<typeof SessionResponseSchema>): boolean;
  /** Ends it. */
  fail(error: RpcError): void;
}

export function boundedStream(
  call: RawCall<SessionRequest, Parameters<SessionStream['write']>[0]>,
  onFlood: () => void,
): SessionStream {
  let unread = 0;
  call.on('drain', () => {
    if (unread > 0) call.resume();
    unread = 0;
  });
  return {
    write(message) {
      if (call.write(message)) return true;
      unread++;
      if (unread === 1) call.pause();
      else if (unread === UNREAD_MAX) onFlood();
      return false;
    },
    fail: (error: RpcError) => call.fail(error),
  };
}
