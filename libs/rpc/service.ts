import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';
import { FIELDS_MAX, hasMoreFields } from './constraints/fields.ts';
import { violationOf } from './constraints/message.ts';
import { MessageRefusal, violationError } from './constraints/violation.ts';
import type { Caller, Scope } from './identity/identity.ts';
import { largeEncoder } from './large-bytes.ts';
import type { Logger } from './log.ts';
import type { RawCall } from './raw-call.ts';
import type { TraceContext } from './trace/context.ts';

/** A service as the generated code describes it. */
export type AnyService = GenService<GenServiceMethods>;
export type MethodsOf<S> = S extends { method: infer M } ? M : never;

export type In<M> = M extends { input: infer D extends DescMessage } ? MessageShape<D> : never;
export type Out<M> = M extends { output: infer D extends DescMessage } ? MessageShape<D> : never;
export type InInit<M> = M extends { input: infer D extends DescMessage } ? MessageInitShape<D> : never;
export type OutInit<M> = M extends { output: infer D extends DescMessage } ? MessageInitShape<D> : never;

/** What a handler knows of its call, whichever way it came. */
export interface CallContext {
  /** Aborts when the caller cancels, its deadline passes or its line breaks; not after a normal end. */
  readonly signal: AbortSignal;
  /** Goes with the work through every service and its logs. */
  readonly requestId: string;
  /** Carries the request id. */
  readonly log: Logger;
  /** Where the call comes from: an address, or `syslink:<name or sysid>`. */
  readonly peer: string;
  /** Who calls. */
  readonly caller: Caller;
  /** What they may touch by this method: anybody's things, or their own (`ownerOnly`). */
  readonly scope: Scope;
  /** The span of this call, where it is traced: what is done for it is part of that. */
  readonly trace?: TraceContext | undefined;
}

const RAW = Symbol('raw');
export interface RawHandler<I, O> {
  readonly [RAW]: (call: RawCall<I, O>, ctx: CallContext) => void;
}

/** A handler of a bidirectional stream that works on grpc's own stream, for hot paths. It serves gRPC only. */
export function raw<I, O>(serve: (call: RawCall<I, O>, ctx: CallContext) => void): RawHandler<I, O> {
  return { [RAW]: serve };
}

export function rawOf(
  handler: unknown,
): ((call: RawCall<unknown, unknown>, ctx: CallContext) => void) | undefined {
  return typeof handler === 'object' && handler !== null && RAW in handler
    ? (handler as RawHandler<unknown, unknown>)[RAW]
    : undefined;
}

type Handler<M> = M extends { methodKind: infer K }
  ? K extends 'unary'
    ? (request: In<M>, ctx: CallContext) => Promise<OutInit<M>> | OutInit<M>
    : K extends 'server_streaming'
      ? (request: In<M>, ctx: CallContext) => AsyncIterable<OutInit<M>>
      : K extends 'client_streaming'
        ? (requests: AsyncIterable<In<M>>, ctx: CallContext) => Promise<OutInit<M>> | OutInit<M>
        :
            | ((requests: AsyncIterable<In<M>>, ctx: CallContext) => AsyncIterable<OutInit<M>>)
            | RawHandler<In<M>, OutInit<M>>
  : never;

/**
 * A handler for each method, the same for gRPC and for syslink. A method that is left out answers UNIMPLEMENTED.
 * A handler throws RpcError for what the caller should know; anything else is logged and answered with INTERNAL.
 */
export type Handlers<S> = { readonly [K in keyof MethodsOf<S>]?: Handler<MethodsOf<S>[K]> };

/** A handler without its types, as the transports see it. */
export type AnyHandler = ((request: unknown, ctx: CallContext) => unknown) | RawHandler<unknown, unknown>;

export function handlerOf(handlers: object, method: DescMethod): AnyHandler | undefined {
  return (handlers as Record<string, AnyHandler | undefined>)[method.localName];
}

/** `/odonata.vkernel.v1.VkernelService/Kill` */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

export interface CallOptions {
  /** Ends the call with CANCELLED at the server too. */
  readonly signal?: AbortSignal;
  /** Milliseconds from now; for a unary call the client's default, for a stream none. 0: none. */
  readonly deadlineMs?: number;
  /** Passed on so that logs can be joined; made by the server when missing. */
  readonly requestId?: string;
  /** What the call is part of, where that is traced; else the trace of the whole process, if it is one. */
  readonly trace?: TraceContext | undefined;
  /** Who calls, where it is not this process itself: a token that was made for it (identity/token.ts). */
  readonly token?: string;
  /**
   * Of a stream over syslink: it goes on over another router where its way breaks, without a gap (docs/syslink.md). What is sent as a
   * Buffer must stay as it is then. `with-caller`: whoever is called ends it at once where the caller's own router says that the
   * caller is gone.
   */
  readonly lasting?: boolean | 'with-caller';
  /** Wait for the server to come up (until the deadline) instead of UNAVAILABLE at once. */
  readonly waitForReady?: boolean;
}

type Call<M> = M extends { methodKind: infer K }
  ? K extends 'unary'
    ? (request: InInit<M>, options?: CallOptions) => Promise<Out<M>>
    : K extends 'server_streaming'
      ? (request: InInit<M>, options?: CallOptions) => AsyncIterable<Out<M>>
      : K extends 'client_streaming'
        ? (requests: AsyncIterable<InInit<M>>, options?: CallOptions) => Promise<Out<M>>
        : (requests: AsyncIterable<InInit<M>>, options?: CallOptions) => AsyncIterable<Out<M>>
  : never;

/** A client of a service over any transport. Every failure is an RpcError. Leaving a stream's loop cancels it. */
export type Client<S> = { readonly [K in keyof MethodsOf<S>]: Call<MethodsOf<S>[K]> } & { close(): void };

/**
 * Bytes of a message. A whole message is taken as it is, so a hot path that calls `create` itself pays once; a Buffer
 * is one that its caller has encoded already.
 */
export function encoder(schema: DescMessage): (message: unknown) => Buffer {
  const encodeLarge = largeEncoder(schema);
  return (init) => {
    if (Buffer.isBuffer(init)) return init;
    const message = create(schema, init as never);
    const large = encodeLarge(message);
    if (large !== undefined) return large;
    const bytes = toBinary(schema, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

/**
 * The message of some bytes, which keeps the constraints of its .proto file. Its byte fields are views of them: no copy.
 * Plain Uint8Arrays, never Buffers, whose `slice` would not copy either. This is the one way in for whatever comes from
 * somebody else: requests, answers, events.
 * @param options.fieldsMax of what comes from somebody of this very machine, or from a service: more
 * @throws RpcError INVALID_ARGUMENT
 */
export function decoder<D extends DescMessage>(
  schema: D,
  { fieldsMax = FIELDS_MAX } = {},
): (bytes: Uint8Array) => MessageShape<D> {
  return ({ buffer, byteOffset, byteLength }) => {
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    let message: MessageShape<D>;
    try {
      if (hasMoreFields(schema, bytes, fieldsMax)) throw new Error(`it has more than ${fieldsMax} fields`);
      message = fromBinary(schema, bytes);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new MessageRefusal('', `not a ${schema.typeName}: ${why}`, { cause: error });
    }
    const violation = violationOf(schema, message);
    if (violation !== undefined) throw violationError(violation);
    return message;
  };
}

export function isRequestStream(method: DescMethod): boolean {
  return method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming';
}

export function isResponseStream(method: DescMethod): boolean {
  return method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming';
}
