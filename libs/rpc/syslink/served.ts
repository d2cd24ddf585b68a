import type { DescMethod } from '@bufbuild/protobuf';
import type { CircuitOpen, Frame, Message } from '@odonata/proto/syslink/v1/syslink';
import { Code, fromServiceError, RpcError } from '../error.ts';
import type { Logger } from '../log.ts';
import type { CallMeter, Serve, ServedCall } from '../served-call.ts';
import { beginCall, pumpResponses } from '../served-call.ts';
import type { AnyHandler, AnyService } from '../service.ts';
import {
  decoder,
  encoder,
  handlerOf,
  isRequestStream,
  isResponseStream,
  methodPath,
  rawOf,
} from '../service.ts';
import type { Circuit } from './circuit.ts';
import { BULK_BYTES, CALLS_LIMIT, frame, HEAD_BYTES, MESSAGE_DEADLINE_MS, statusInit } from './frame.ts';

interface Entry {
  readonly method: DescMethod;
  readonly handler: AnyHandler | undefined;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (message: unknown) => Buffer;
}

/** Where a call came from, and its reply goes. */
interface Origin {
  reply(answer: Frame): void;
}

/** The services that an endpoint serves to others: calls come as messages, streams as circuits. */
export class ServedServices {
  readonly #log: Logger;
  readonly #meter: CallMeter | undefined;
  readonly #methods = new Map<string, Entry>();
  readonly #running = new Map<ServedCall, Origin>();

  constructor(log: Logger, meter?: CallMeter) {
    this.#log = log;
    this.#meter = meter;
  }

  add(service: AnyService, handlers: object): void {
    for (const method of service.methods) {
      this.#methods.set(methodPath(method), {
        method,
        handler: handlerOf(handlers, method),
        decode: decoder(method.input),
        encode: encoder(method.output),
      });
    }
  }

  /** The line to a router broke: nobody waits for what runs for it. */
  abortAll(origin: Origin, error: RpcError): void {
    for (const [served, from] of this.#running) {
      if (from !== origin) continue;
      this.#running.delete(served);
      served.abort(error);
    }
  }

  async message(request: Message, origin: Origin): Promise<void> {
    const served = this.#begin(request, origin);
    const deadlineMs = request.deadlineMs || MESSAGE_DEADLINE_MS;
    const timer = setTimeout(
      () => served.abort(new RpcError(Code.DeadlineExceeded, 'the deadline passed')),
      deadlineMs,
    );
    let body: Uint8Array = new Uint8Array();
    let failure: RpcError | undefined;
    try {
      const { serve, entry } = this.#find(request.proto, false);
      const message = decoded(entry, request.bulk.length > 0 ? request.bulk : request.head);
      body = entry.encode(await serve(message, served.ctx));
      if (body.length > BULK_BYTES) {
        throw new RpcError(Code.ResourceExhausted, `a reply of ${body.length} bytes; at most ${BULK_BYTES}`);
      }
    } catch (error) {
      failure = served.finish(error);
      body = new Uint8Array();
    }
    served.finish();
    clearTimeout(timer);
    this.#running.delete(served);
    const inHead = body.length <= HEAD_BYTES;
    origin.reply(
      frame({
        case: 'message',
        value: {
          to: request.from,
          proto: request.proto,
          msgid: request.msgid,
          reply: true,
          hopLimit: request.hopLimit,
          ...(inHead ? { head: body } : { bulk: body }),
          status: statusInit(failure),
          requestId: served.ctx.requestId,
        },
      }),
    );
  }

  async circuit(open: CircuitOpen, circuit: Circuit, origin: Origin): Promise<void> {
    const served = this.#begin(open, origin);
    circuit.onClosed = (error) => {
      served.abort(error ?? new RpcError(Code.Cancelled, 'the caller closed the circuit'));
    };
    let failure: RpcError | undefined;
    try {
      await this.#serveCircuit(open, circuit, served);
    } catch (error) {
      failure = served.finish(error);
    }
    served.finish();
    this.#running.delete(served);
    circuit.close(failure);
  }

  async #serveCircuit(open: CircuitOpen, circuit: Circuit, served: ServedCall): Promise<void> {
    const { serve, entry } = this.#find(open.proto, true);
    const { ctx } = served;
    const requests = requestsOf(entry, circuit, ctx.signal);
    const request = isRequestStream(entry.method) ? requests : (await requests.next()).value;
    if (request === undefined) throw new RpcError(Code.InvalidArgument, `${open.proto} got no request`);
    if (isResponseStream(entry.method)) {
      await pumpResponses(serve, request, ctx, (response) => circuit.write(entry.encode(response)));
    } else {
      circuit.write(entry.encode(await serve(request, ctx)));
    }
  }

  #begin({ proto: path, from, requestId }: Message | CircuitOpen, origin: Origin): ServedCall {
    const entry = this.#methods.get(path);
    // What is not served is not counted: callers must not be able to make up names of counters.
    const meter = entry && this.#meter;
    const stream = entry !== undefined && entry.method.methodKind !== 'unary';
    const peer = `syslink:${from?.name || (from?.sysid ?? 'unknown')}`;
    const served = beginCall({ path, peer, requestId, log: this.#log, meter, stream });
    this.#running.set(served, origin);
    return served;
  }

  #find(path: string, byCircuit: boolean): { serve: Serve; entry: Entry } {
    if (this.#running.size > CALLS_LIMIT) {
      throw new RpcError(Code.ResourceExhausted, `${CALLS_LIMIT} calls run already`);
    }
    const entry = this.#methods.get(path);
    if (entry?.handler === undefined) throw new RpcError(Code.Unimplemented, `${path} is not served here`);
    if (rawOf(entry.handler) !== undefined) {
      throw new RpcError(Code.Unimplemented, `${path} is served over gRPC only`);
    }
    if ((entry.method.methodKind !== 'unary') !== byCircuit) {
      throw new RpcError(Code.InvalidArgument, `${path} is called as a ${byCircuit ? 'message' : 'circuit'}`);
    }
    return { serve: entry.handler as Serve, entry };
  }
}

function decoded(entry: Entry, bytes: Uint8Array): unknown {
  try {
    return entry.decode(bytes);
  } catch (error) {
    const { message } = fromServiceError(error);
    throw new RpcError(Code.InvalidArgument, `not a ${entry.method.input.typeName}: ${message}`, {
      cause: error,
    });
  }
}

async function* requestsOf(entry: Entry, circuit: Circuit, signal: AbortSignal): AsyncGenerator<unknown> {
  for await (const bytes of circuit.messages()) yield decoded(entry, bytes);
  signal.throwIfAborted();
}
