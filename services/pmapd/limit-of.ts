// Which limit a refusal is for: who answers counts it by that word, and says who it was (libs/rpc/limits.ts).
import type { RpcError } from '@odonata/rpc/error.ts';
import { requesterOf } from '@odonata/rpc/identity/requester.ts';
import type { Limits } from '@odonata/rpc/limits.ts';
import type { CallContext } from '@odonata/rpc/service.ts';

const names = new WeakMap<object, string>();

/** @param limit one of a few words: it labels the metric. @returns the error */
export function ofLimit<E extends RpcError>(limit: string, error: E): E {
  names.set(error, limit);
  return error;
}

/** Undefined: it is for none, or counted already. */
export function limitOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null ? names.get(error) : undefined;
}

type Caller = Pick<CallContext, 'caller' | 'scope'>;

function counted(limits: Limits, error: unknown, ctx: Caller): void {
  const limit = limitOf(error);
  if (limit === undefined) return;
  limits.count(limit, `user:${requesterOf(ctx).user}`, (error as RpcError).details);
  names.delete(error as object);
}

/** Methods that people call: what they are refused for a limit is counted. */
export function countingLimits<H extends object>(limits: Limits, handlers: H): H {
  return Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [
      name,
      typeof handler === 'function' ? countingOne(limits, handler as Handler) : handler,
    ]),
  ) as H;
}

type Handler = (request: unknown, ctx: CallContext) => unknown;

function countingOne(limits: Limits, handler: Handler): Handler {
  return (request, ctx) => {
    const failed = (error: unknown): never => {
      counted(limits, error, ctx);
      throw error;
    };
    try {
      const answer = handler(request, ctx);
      if (answer instanceof Promise) return answer.catch(failed);
      return isStream(answer) ? countingStream(answer, failed) : answer;
    } catch (error) {
      return failed(error);
    }
  };
}

const isStream = (answer: unknown): answer is AsyncIterable<unknown> =>
  typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer;

async function* countingStream(
  answer: AsyncIterable<unknown>,
  failed: (error: unknown) => never,
): AsyncGenerator<unknown> {
  try {
    yield* answer;
  } catch (error) {
    failed(error);
  }
}
