// What comes for an endpoint and is not for itself: a gateway passes it on to another cluster.
import type { CircuitOpen, Frame, Message, MessageAbort } from '@odonata/proto/syslink/v1/syslink';
import type { Circuit } from './circuit.ts';

/** The line that something came by. */
export interface Origin {
  reply(answer: Frame): void;
}

/** Asked for each request to a name of another cluster. It answers each, once. */
export interface Relay {
  message(request: Message, origin: Origin): void;
  /** Who asked gave up. */
  abort(abort: MessageAbort, origin: Origin): void;
  circuit(open: CircuitOpen, circuit: Circuit): void;
  /** The line is over: nobody waits for the answers any more. */
  lost(origin: Origin): void;
}
