import type { DescMethod } from '@bufbuild/protobuf';
import type { Address, CircuitOpen, Message, MessageAbort } from '@odonata/proto/syslink/v1/syslink';
import { deadline } from '../deadline.ts';
import { Code, RpcError } from '../error.ts';
import { accessOf } from '../identity/access.ts';
import { AccessRefusal } from '../identity/access-refusal.ts';
import { ANYONE, type Caller, isPerson, isService, type Scope } from '../identity/identity.ts';
import { ownFolder } from '../identity/own.ts';
import type { TlsFolder } from '../identity/tls-folder.ts';
import type { Logger } from '../log.ts';
import type { SecurityLog } from '../security-log.ts';
import type { CallMeter, Serve, ServedCall } from '../served-call.ts';
import { beginCall, pumpResponses } from '../served-call.ts';
import type { AnyHandler, AnyService, CallContext } from '../service.ts';
import {
  decoder,
  encoder,
  handlerOf,
  isRequestStream,
  isResponseStream,
  methodPath,
  rawOf,
} from '../service.ts';
import { isContext } from '../trace/context.ts';
import type { Circuit } from './circuit.ts';
import { isForeign } from './crossing.ts';
import { BULK_BYTES, CALLS_LIMIT, MESSAGE_DEADLINE_MS, replyFrame } from './frame.ts';
import { LastingCircuits } from './lasting-served.ts';
import type { Origin, Relay } from './relay.ts';

interface Entry {
  readonly method: DescMethod;
  readonly handler: AnyHandler | undefined;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (message: unknown) => Buffer;
}

/** Of what outlives the line that it came by. */
const ANY_LINE: Origin = { reply: () => {} };

/** The services that an endpoint serves to others: calls come as messages, streams as circuits. */
export class ServedServices {
  readonly #log: Logger;
  readonly #meter: CallMeter | undefined;
  readonly #security: SecurityLog | undefined;
  readonly #folder: TlsFolder | undefined;
  readonly #relay: Relay | undefined;
  readonly #methods = new Map<string, Entry>();
  readonly #running = new Map<ServedCall, Origin>();
  /** Circuits that may come again by another way. */
  readonly lasting = new LastingCircuits();
  /** Messages that are not answered, by who asked. */
  readonly #messages = new Map<string, ServedCall>();

  /** @param folder our identity; undefined: everybody may do everything */
  constructor(
    options: { log: Logger; meter?: CallMeter; security?: SecurityLog; relay?: Relay | undefined },
    folder: TlsFolder | undefined = ownFolder(),
  ) {
    this.#log = options.log;
    this.#meter = options.meter;
    this.#security = options.security;
    this.#relay = options.relay;
    this.#folder = folder;
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
    this.#relay?.lost(origin);
    for (const [served, from] of this.#running) {
      if (from !== origin) continue;
      this.#running.delete(served);
      served.abort(error);
    }
  }

  /** Who asked gave up. */
  abort(abort: MessageAbort, origin: Origin): void {
    this.#relay?.abort(abort, origin);
    const { from, msgid } = abort;
    const served = this.#messages.get(messageKey(from, msgid));
    if (served !== undefined && this.#running.get(served) === origin)
      served.abort(new RpcError(Code.Cancelled, 'cancelled by the caller'));
  }

  async message(request: Message, origin: Origin): Promise<void> {
    if (this.#relay !== undefined && isForeign(request.to?.name ?? ''))
      return this.#relay.message(request, origin);
    const { served, refused } = this.#begin(request, origin);
    const key = messageKey(request.from, request.msgid);
    this.#messages.set(key, served);
    const deadlineMs = request.deadlineMs || MESSAGE_DEADLINE_MS;
    const answered = deadline(deadlineMs, () =>
      served.abort(new RpcError(Code.DeadlineExceeded, 'the deadline passed')),
    );
    let body: Uint8Array = new Uint8Array();
    let failure: RpcError | undefined;
    try {
      const { serve, entry } = this.#find(request, false, refused);
      const message = entry.decode(request.bulk.length > 0 ? request.bulk : request.head);
      body = entry.encode(await serve(message, served.ctx));
      if (body.length > BULK_BYTES) {
        throw new RpcError(Code.ResourceExhausted, `a reply of ${body.length} bytes; at most ${BULK_BYTES}`);
      }
    } catch (error) {
      failure = served.finish(error);
      body = new Uint8Array();
    }
    served.finish();
    answered();
    this.#running.delete(served);
    if (this.#messages.get(key) === served) this.#messages.delete(key);
    origin.reply(replyFrame(request, body, { failure, requestId: served.ctx.requestId }));
  }

  async circuit(open: CircuitOpen, circuit: Circuit, origin: Origin): Promise<void> {
    if (this.#relay !== undefined && isForeign(open.to?.name ?? ''))
      return this.#relay.circuit(open, circuit);
    if (circuit.keeps) this.lasting.add(open, circuit);
    // Where its line breaks, it does not end with it.
    const { served, refused } = this.#begin(open, circuit.lasts ? ANY_LINE : origin);
    circuit.onClosed = (error) => {
      served.abort(error ?? new RpcError(Code.Cancelled, 'the caller closed the circuit'));
    };
    let failure: RpcError | undefined;
    try {
      await this.#serveCircuit(open, circuit, served, refused);
    } catch (error) {
      failure = served.finish(error);
    }
    served.finish();
    this.#running.delete(served);
    circuit.close(failure);
    if (circuit.lasts) this.lasting.ended(open);
  }

  async #serveCircuit(
    open: CircuitOpen,
    circuit: Circuit,
    served: ServedCall,
    refused: unknown,
  ): Promise<void> {
    const { serve, entry } = this.#find(open, true, refused);
    const { ctx } = served;
    const requests = requestsOf(entry, circuit, ctx.signal);
    const request = isRequestStream(entry.method) ? requests : (await requests.next()).value;
    if (request === undefined) throw new RpcError(Code.InvalidArgument, `${open.proto} got no request`);
    if (isResponseStream(entry.method)) {
      await pumpResponses(serve, request, ctx, (response) =>
        circuit.write(entry.encode(response), { given: !Buffer.isBuffer(response) }),
      );
    } else {
      circuit.write(entry.encode(await serve(request, ctx)));
    }
  }

  /** @returns with `refused` where whoever asks may not */
  #begin(request: Message | CircuitOpen, origin: Origin): { served: ServedCall; refused?: unknown } {
    const { proto: path, from, requestId } = request;
    const entry = this.#methods.get(path);
    // What is not served is not counted: callers must not be able to make up names of counters.
    const meter = entry && this.#meter;
    const stream = entry !== undefined && entry.method.methodKind !== 'unary';
    const peer = `syslink:${from?.name || (from?.sysid ?? 'unknown')}`;
    const { who, refused } = entry === undefined ? {} : this.#admitted(request, entry);
    const security = this.#security;
    const parent = isContext(request.trace) ? request.trace.slice() : undefined;
    const about = { path, peer, requestId, parent, log: this.#log, meter, security, stream };
    const served = beginCall({ ...about, ...who });
    this.#running.set(served, origin);
    return { served, refused };
  }

  /** Who asks, and what they may; or why they may not. */
  #admitted(
    request: Message | CircuitOpen,
    { method }: Entry,
  ): { who?: Partial<Pick<CallContext, 'caller' | 'scope'>>; refused?: unknown } {
    const who: { caller?: Caller; scope?: Scope } = {};
    try {
      who.caller = this.#callerOf(request);
      who.scope = accessOf(method, who.caller);
      return { who };
    } catch (refused) {
      return { who, refused };
    }
  }

  /** The router says who asks, and takes it from nobody. @throws RpcError UNAUTHENTICATED */
  #callerOf({ caller }: Message | CircuitOpen): Caller {
    if (this.#folder === undefined) return ANYONE;
    const { cluster } = this.#folder.identity.caller;
    const known = caller && { cluster, role: caller.role, name: caller.name, groups: caller.groups };
    if (known !== undefined && (isPerson(known) || isService(known))) return known;
    throw new AccessRefusal('authentication', 'the router does not say who asks');
  }

  #find(
    { proto: path }: Message | CircuitOpen,
    byCircuit: boolean,
    refused: unknown,
  ): { serve: Serve; entry: Entry } {
    if (this.#running.size > CALLS_LIMIT) {
      throw new RpcError(Code.ResourceExhausted, `${CALLS_LIMIT} calls run already`);
    }
    const entry = this.#methods.get(path);
    if (refused !== undefined) throw refused;
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

const messageKey = (from: Address | undefined, msgid: bigint): string => `${from?.sysid}/${msgid}`;

async function* requestsOf(entry: Entry, circuit: Circuit, signal: AbortSignal): AsyncGenerator<unknown> {
  for await (const bytes of circuit.messages()) yield entry.decode(bytes);
  signal.throwIfAborted();
}
