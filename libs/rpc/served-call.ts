import { randomUUID } from 'node:crypto';
import { metBugInCall } from './bug.ts';
import { MessageRefusal } from './constraints/violation.ts';
import { Code, codeName, RpcError } from './error.ts';
import { AccessRefusal, tellOfAccess } from './identity/access-refusal.ts';
import { type Caller, NOBODY, type Scope, shownCaller } from './identity/identity.ts';
import { Interrupt } from './interrupt.ts';
import type { Logger } from './log.ts';
import type { SecurityLog } from './security-log.ts';
import type { CallContext } from './service.ts';
import { spanIdOf, spanIn, type TraceContext, traceIdOf } from './trace/context.ts';
import { ownTracer } from './trace/own.ts';

export type Serve = (request: unknown, ctx: CallContext) => unknown;

/** One call that is being served, over whichever transport. */
export interface ServedCall {
  readonly ctx: CallContext;
  /** The caller went away or its time is over: the handler's signal aborts, unless the call has ended. */
  abort(error: RpcError): void;
  /** Logs the end, once, and gives the failure as the caller may see it. `error` undefined: a good end. */
  finish(error?: unknown): RpcError | undefined;
  readonly finished: boolean;
}

/** Who counts the calls of a service. */
export interface CallMeter {
  began(): void;
  ended(method: string, code: string, seconds: number, stream: boolean): void;
}

export function beginCall(options: {
  path: string;
  peer: string;
  requestId?: string;
  log: Logger;
  meter?: CallMeter | undefined;
  /** Hears of messages and callers that were refused. */
  security?: SecurityLog | undefined;
  stream?: boolean;
  caller?: Caller | undefined;
  scope?: Scope | undefined;
  /** Called once, when it has ended. */
  onOver?: (() => void) | undefined;
  /** What the call is part of. */
  parent?: TraceContext | undefined;
}): ServedCall {
  const {
    path,
    peer,
    meter,
    security,
    onOver,
    parent,
    stream = false,
    caller = NOBODY,
    scope = 'own',
  } = options;
  const requestId = (options.requestId || randomUUID()).slice(0, 128);
  const tracer = parent === undefined ? undefined : ownTracer();
  // Not ours to trace, it is another one's all the same.
  const trace = tracer === undefined ? parent : spanIn(parent!);
  const startNs = tracer === undefined ? 0n : process.hrtime.bigint();
  const ctx = new Context({ requestId, peer, caller, scope, trace }, options.log);
  const startedMs = performance.now();
  let finished = false;
  meter?.began();
  return {
    ctx,
    abort(error) {
      if (finished) return;
      this.finish(error);
      ctx.abort(error);
    },
    finish(error) {
      const failure = error === undefined ? undefined : failureOf(error, path, ctx);
      if (!finished) {
        finished = true;
        onOver?.();
        if (security !== undefined) {
          if (failure instanceof MessageRefusal) tell(security, failure, path, caller);
          if (failure instanceof AccessRefusal)
            tellOfAccess(security, failure, { rpc: path, caller, address: peer });
        }
        const durationMs = Math.round((performance.now() - startedMs) * 1000) / 1000;
        const code = codeName(failure?.code ?? Code.Ok);
        if (options.log.isLevelEnabled('debug'))
          ctx.log.debug({ method: path, code, durationMs, peer, reason: failure?.details }, 'request');
        meter?.ended(path, code, durationMs / 1000, stream);
        tracer?.record({
          ...{ name: path.slice(1), kind: 'server', context: trace!, parent, startNs },
          ...{ endNs: process.hrtime.bigint(), error: failure?.details },
          attributes: {
            'rpc.system': 'grpc',
            'rpc.response.status_code': code,
            'odonata.request_id': requestId,
          },
        });
      }
      return failure;
    },
    get finished() {
      return finished;
    },
  };
}

/** What most handlers never ask for is made when one does. */
class Context implements CallContext {
  readonly requestId: string;
  readonly peer: string;
  readonly caller: Caller;
  readonly scope: Scope;
  readonly trace: TraceContext | undefined;
  readonly #parentLog: Logger;
  #log: Logger | undefined;
  #controller: AbortController | undefined;
  #abortedBy: RpcError | undefined;

  constructor(
    about: Pick<CallContext, 'requestId' | 'peer' | 'caller' | 'scope' | 'trace'>,
    parentLog: Logger,
  ) {
    this.requestId = about.requestId;
    this.peer = about.peer;
    this.caller = about.caller;
    this.scope = about.scope;
    this.trace = about.trace;
    this.#parentLog = parentLog;
  }

  get log(): Logger {
    const { requestId, trace } = this;
    this.#log ??= this.#parentLog.child(
      trace === undefined
        ? { requestId }
        : { requestId, trace_id: traceIdOf(trace), span_id: spanIdOf(trace) },
    );
    return this.#log;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortedBy !== undefined) this.#controller.abort(this.#abortedBy);
    }
    return this.#controller.signal;
  }

  abort(error: RpcError): void {
    this.#abortedBy = error;
    this.#controller?.abort(error);
  }
}

function tell(security: SecurityLog, { field, details }: MessageRefusal, rpc: string, by: Caller): void {
  const who = shownCaller(by);
  // Its first line names the field; what stands there may be the caller's own text.
  security.refused('constraint', who, `${who}: ${rpc}: ${details}`, { rpc, field: field || undefined });
}

/** Only RpcErrors are meant for the caller; all else is a bug here, and logged as one. */
function failureOf(error: unknown, path: string, ctx: CallContext): RpcError {
  if (error instanceof RpcError) return error;
  metBugInCall(ctx.log, error, { method: path });
  return new RpcError(Code.Internal, error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}

/**
 * Runs a handler that streams, and hands each response to `write`, which returns a promise when the line is full.
 * Resolves with 'done' after the last, with 'aborted' when the call was; rejects with the handler's error.
 */
export async function pumpResponses(
  serve: Serve,
  request: unknown,
  ctx: CallContext,
  write: (response: unknown) => Promise<void> | undefined,
): Promise<'done' | 'aborted'> {
  const { signal } = ctx;
  const aborted = new Interrupt();
  signal.addEventListener('abort', () => aborted.fire(), { once: true });
  let iterator: AsyncIterator<unknown> | undefined;
  try {
    iterator = (serve(request, ctx) as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    for (;;) {
      const result = await aborted.wait(iterator.next());
      if (result === undefined || signal.aborted) break;
      if (result.done) return 'done';
      const full = write(result.value);
      if (full !== undefined) await aborted.wait(full);
      if (signal.aborted) break;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  // Not awaited: a generator that waits for something runs its `finally` when that comes.
  iterator?.return?.().catch((error: unknown) => {
    if (!(error instanceof RpcError)) metBugInCall(ctx.log, error, { when: 'its caller had gone away' });
  });
  return 'aborted';
}
