import type {
  Address,
  CircuitClose,
  CircuitData,
  CircuitOpen,
  CircuitOpened,
  CircuitWindow,
} from '@odonata/proto/syslink/v1/syslink';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import {
  BULK_BYTES,
  CIRCUIT_WINDOW_BYTES,
  CIRCUITS_LIMIT,
  circuitWeight,
  frame,
  statusInit,
} from '@odonata/rpc/syslink/frame.ts';
import { bytesIn } from '@odonata/rpc/syslink/frames/passed-data.ts';
import { addressOf, type Connection, type Endpoint, type Leg } from './registry.ts';
import { endTrace, routedTrace } from './routed-trace.ts';

/** Circuits through the line to another router. */
export const LINK_CIRCUITS_LIMIT = 16_384;

/**
 * Circuits: two legs, one in the numbering of each endpoint's stream. The opener chooses an odd number, the router
 * gives the far end an even one. On the line to another router both open circuits: whoever opened the line takes odd
 * numbers. A circuit over several routers is a pair of legs in each of them.
 *
 * Windows run from end to end: the router passes them on and holds each sender to its own (with one message of
 * overdraft), so what waits here for a reader that does not read is bounded, and no other circuit waits for it. A reader
 * is not believed that it took what it cannot have yet: the stream to it has not taken it.
 * A frame for a circuit that is closed is dropped: it crossed the close on its way.
 */
export class CircuitTable {
  open(
    from: Endpoint,
    request: CircuitOpen,
    destination: (to: Address | undefined) => Endpoint & { connection: Connection },
  ): void {
    try {
      if (isOdd(request.circuit) === isOdd(from.lastLeg)) {
        throw new RpcError(Code.InvalidArgument, `circuit ${request.circuit} has a number of this side`);
      }
      if (from.legs.has(request.circuit))
        throw new RpcError(Code.InvalidArgument, `circuit ${request.circuit} is in use`);
      const to = destination(request.to);
      for (const { legs, name, isLink } of [from, to]) {
        const limit = isLink ? LINK_CIRCUITS_LIMIT : CIRCUITS_LIMIT;
        if (legs.size >= limit) {
          throw new RpcError(Code.ResourceExhausted, `${name || 'the client'} has ${limit} circuits open`);
        }
      }
      to.lastLeg += 2n;
      const near = legOf(from, request.circuit, true);
      const far = legOf(to, to.lastLeg, false);
      near.peer = far;
      far.peer = near;
      from.legs.set(near.number, near);
      to.legs.set(far.number, far);
      near.trace = routedTrace(request);
      request.circuit = far.number;
      if (!from.isLink) request.from = addressOf(from);
      request.hopLimit -= 1;
      to.connection.send(frame({ case: 'circuitOpen', value: request }));
    } catch (error) {
      sendClose(from, request.circuit, fromServiceError(error), true);
    }
  }

  opened(from: Endpoint, opened: CircuitOpened): void {
    const leg = from.legs.get(opened.circuit);
    if (leg === undefined) return;
    const { peer } = leg;
    if (!from.isLink) opened.from = addressOf(from);
    opened.circuit = peer.number;
    peer.endpoint.connection?.send(frame({ case: 'circuitOpened', value: opened }));
  }

  data(from: Endpoint, data: CircuitData): void {
    const leg = from.legs.get(data.circuit);
    if (leg === undefined) return;
    if (leg.halfClosed) {
      abort(leg, new RpcError(Code.InvalidArgument, 'data after the end of that direction'));
      return;
    }
    const length = bytesIn(data);
    if (length > BULK_BYTES || leg.underWayBytes >= CIRCUIT_WINDOW_BYTES) {
      abort(leg, new RpcError(Code.ResourceExhausted, 'more data than the window of the circuit'));
      return;
    }
    const bytes = circuitWeight({ length });
    leg.underWayBytes += bytes;
    leg.parkedBytes += bytes;
    data.circuit = leg.peer.number;
    leg.peer.endpoint.connection?.send(frame({ case: 'circuitData', value: data }), () => {
      leg.parkedBytes -= bytes;
    });
  }

  window(from: Endpoint, window: CircuitWindow): void {
    const leg = from.legs.get(window.circuit);
    if (leg === undefined) return;
    const { peer } = leg;
    if (window.takenBytes > peer.underWayBytes - peer.parkedBytes) {
      const what = `its reader takes ${window.takenBytes} bytes, and was given fewer`;
      abort(leg, new RpcError(Code.InvalidArgument, what));
      return;
    }
    peer.underWayBytes -= window.takenBytes;
    window.circuit = peer.number;
    peer.endpoint.connection?.send(frame({ case: 'circuitWindow', value: window }));
  }

  close(from: Endpoint, close: CircuitClose): void {
    const leg = from.legs.get(close.circuit);
    if (leg === undefined) return;
    if (close.half) leg.halfClosed = true;
    else remove(leg);
    if (!from.isLink) close.byRouter = false;
    close.circuit = leg.peer.number;
    leg.peer.endpoint.connection?.send(frame({ case: 'circuitClose', value: close }));
  }

  /** Both ends of each are told that it is over here: it may go on over another router. */
  abortAll(endpoint: Endpoint, error: RpcError): void {
    for (const leg of [...endpoint.legs.values()]) abort(leg, error, true);
  }

  /**
   * Its stream is gone: whom it called hears that nobody waits any more, and whoever called it that it is not there. Behind the line
   * to another router somebody may still wait.
   */
  closeAll(endpoint: Endpoint, error: RpcError): void {
    const cancelled = new RpcError(Code.Cancelled, error.details);
    for (const leg of [...endpoint.legs.values()]) {
      remove(leg);
      sendClose(leg.peer.endpoint, leg.peer.number, leg.opened && !endpoint.isLink ? cancelled : error, true);
    }
  }
}

function legOf(endpoint: Endpoint, number: bigint, opened: boolean): Leg {
  const leg = { endpoint, number, opened, underWayBytes: 0, parkedBytes: 0, halfClosed: false } as Leg;
  leg.peer = leg;
  return leg;
}

const isOdd = (number: bigint): boolean => number % 2n !== 0n;

function remove(leg: Leg): void {
  endTrace(leg.trace ?? leg.peer.trace);
  leg.endpoint.legs.delete(leg.number);
  leg.peer.endpoint.legs.delete(leg.peer.number);
}

function abort(leg: Leg, error: RpcError, byRouter = false): void {
  remove(leg);
  sendClose(leg.endpoint, leg.number, error, byRouter);
  sendClose(leg.peer.endpoint, leg.peer.number, error, byRouter);
}

/** @param byRouter no end has broken a rule: whoever may go another way does */
function sendClose(to: Endpoint, circuit: bigint, error: RpcError, byRouter: boolean): void {
  const value = { circuit, half: false, status: statusInit(error), byRouter };
  to.connection?.send(frame({ case: 'circuitClose', value }));
}
