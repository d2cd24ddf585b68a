import { randomUUID } from 'node:crypto';
import type { DescMethod } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { REQUEST_ID_KEY } from './channel.ts';
import { Code, codeName, RpcError } from './error.ts';
import type { Logger } from './log.ts';
import type { AnyHandler, CallContext } from './service.ts';
import { methodPath, rawOf } from './service.ts';

type Call = grpc.ServerUnaryCall<unknown, unknown> &
  grpc.ServerReadableStream<unknown, unknown> &
  grpc.ServerWritableStream<unknown, unknown> &
  grpc.ServerDuplexStream<unknown, unknown>;
type Callback = grpc.sendUnaryData<unknown>;

/** What the server knows of one call while it runs. */
interface Running {
  readonly ctx: CallContext;
  /** The request id goes back in the trailers. */
  readonly trailers: grpc.Metadata;
  /** Logs the end, and says how to answer. `error` undefined: OK. */
  finish(error?: unknown): RpcError | undefined;
}

/** A failure as the caller may see it. Only RpcErrors were meant for it; all else is a bug here, and logged as one. */
export function failureOf(error: unknown, path: string, log: Logger): RpcError {
  if (error instanceof RpcError) return error;
  log.error({ method: path, err: error }, 'handler failed');
  return new RpcError(Code.Internal, error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}

function begin(call: Call, path: string, log: Logger): Running {
  const given = call.metadata.get(REQUEST_ID_KEY)[0];
  const requestId = given === undefined ? randomUUID() : String(given).slice(0, 128);
  const trailers = new grpc.Metadata();
  trailers.set(REQUEST_ID_KEY, requestId);
  const abort = new AbortController();
  const callLog = log.child({ requestId });
  const startedMs = performance.now();
  let finished = false;
  const ctx: CallContext = { signal: abort.signal, requestId, log: callLog, peer: call.getPeer() };
  const finish = (error?: unknown): RpcError | undefined => {
    const failure = error === undefined ? undefined : failureOf(error, path, callLog);
    if (!finished) {
      finished = true;
      const durationMs = Math.round((performance.now() - startedMs) * 1000) / 1000;
      const code = codeName(failure?.code ?? Code.Ok);
      callLog.debug({ method: path, code, durationMs, peer: ctx.peer, reason: failure?.details }, 'request');
    }
    return failure;
  };
  // grpc says 'cancelled' after every call, also after a good one.
  call.on('cancelled', () => {
    if (finished) return;
    if (call.writableEnded) return void finish();
    const late = Number(call.getDeadline()) <= Date.now();
    const error = late
      ? new RpcError(Code.DeadlineExceeded, 'the deadline passed')
      : new RpcError(Code.Cancelled, 'the caller went away');
    finish(error);
    abort.abort(error);
  });
  return { ctx, trailers, finish };
}

function statusOf(failure: RpcError, metadata: grpc.Metadata): grpc.ServiceError {
  return Object.assign(new Error(failure.message), {
    code: failure.code,
    details: failure.details,
    metadata,
  });
}

/** grpc's handler for one of ours. */
export function grpcHandler(
  method: DescMethod,
  handler: AnyHandler | undefined,
  log: Logger,
): grpc.UntypedHandleCall {
  const path = methodPath(method);
  if (handler === undefined) return unimplemented(method, path, log);
  const serveRaw = rawOf(handler);
  if (serveRaw !== undefined) {
    return ((call: Call) => {
      const { finish } = begin(call, path, log);
      call.once('close', () => finish());
      serveRaw(call);
    }) as grpc.UntypedHandleCall;
  }
  const serve = handler as (request: unknown, ctx: CallContext) => unknown;
  switch (method.methodKind) {
    case 'unary':
    case 'client_streaming':
      return ((call: Call, callback: Callback) => {
        const running = begin(call, path, log);
        const request = method.methodKind === 'unary' ? call.request : requestsOf(call, running.ctx.signal);
        answer(serve, request, running, callback);
      }) as grpc.UntypedHandleCall;
    case 'server_streaming':
    case 'bidi_streaming':
      return ((call: Call) => {
        const running = begin(call, path, log);
        const request =
          method.methodKind === 'bidi_streaming' ? requestsOf(call, running.ctx.signal) : call.request;
        // `stream` answers the caller itself; it rejects only on a bug of its own.
        stream(serve, request, running, call).catch((error) =>
          log.fatal({ err: error, method: path }, 'bug in server'),
        );
      }) as grpc.UntypedHandleCall;
  }
}

function unimplemented(method: DescMethod, path: string, log: Logger): grpc.UntypedHandleCall {
  return ((call: Call, callback?: Callback) => {
    const { finish, trailers } = begin(call, path, log);
    const failure = finish(new RpcError(Code.Unimplemented, `${path} is not served here`))!;
    const unaryResponse = method.methodKind === 'unary' || method.methodKind === 'client_streaming';
    if (unaryResponse) callback!(statusOf(failure, trailers));
    else call.emit('error', statusOf(failure, trailers));
  }) as grpc.UntypedHandleCall;
}

async function answer(
  serve: (request: unknown, ctx: CallContext) => unknown,
  request: unknown,
  running: Running,
  callback: Callback,
): Promise<void> {
  let reply: unknown;
  try {
    reply = await serve(request, running.ctx);
  } catch (error) {
    callback(statusOf(running.finish(error)!, running.trailers));
    return;
  }
  running.finish();
  callback(null, reply, running.trailers);
}

async function stream(
  serve: (request: unknown, ctx: CallContext) => unknown,
  request: unknown,
  running: Running,
  call: Call,
): Promise<void> {
  const { ctx, finish, trailers } = running;
  const aborted = new Promise<undefined>((resolve) => {
    ctx.signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  let iterator: AsyncIterator<unknown> | undefined;
  try {
    iterator = (serve(request, ctx) as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    for (;;) {
      const result = await Promise.race([iterator.next(), aborted]);
      if (result === undefined || ctx.signal.aborted) break;
      if (result.done) {
        finish();
        call.end(trailers);
        return;
      }
      if (!call.write(result.value)) {
        const drained = new Promise<void>((resolve) => call.once('drain', resolve));
        await Promise.race([drained, aborted]);
      }
    }
  } catch (error) {
    if (!ctx.signal.aborted) {
      call.emit('error', statusOf(finish(error)!, trailers));
      return;
    }
  }
  // The caller is gone. Not awaited: a generator that waits for something runs its `finally` when that comes.
  iterator?.return?.().catch((error: unknown) => {
    if (!(error instanceof RpcError))
      ctx.log.error({ err: error }, 'handler failed after its caller went away');
  });
}

/** The requests of a stream. When the call is cancelled the reader gets the reason as an error, never a clean end. */
async function* requestsOf(call: Call, signal: AbortSignal): AsyncGenerator<unknown> {
  try {
    for await (const request of call.iterator({ destroyOnReturn: false })) yield request;
  } catch (error) {
    signal.throwIfAborted();
    throw new RpcError(Code.Cancelled, 'the request stream broke', { cause: error });
  }
  // A reset stream ends cleanly first, and says 'cancelled' a moment later.
  await new Promise((resolve) => setImmediate(resolve));
  signal.throwIfAborted();
}
