// The spans of a run that is traced: the virtual kernel that it waited for, what was loaded, and the program from its first
// instruction to its exit. The virtual kernel reaches nobody but this service and its pmap manager, so its spans are told here.
import type { CallContext } from '@odonata/rpc/service.ts';
import { spanIn } from '@odonata/rpc/trace/context.ts';
import { ownTracer } from '@odonata/rpc/trace/own.ts';
import type { Response } from './output-backlog.ts';

const now = (): bigint => process.hrtime.bigint();

/** Runs it as a span of the call, where that is traced. */
export async function spanOf<T>({ trace }: CallContext, name: string, run: () => Promise<T>): Promise<T> {
  const tracer = ownTracer();
  if (tracer === undefined || trace === undefined) return await run();
  const startNs = now();
  const ended = (error?: string): void =>
    tracer.record({ ...{ name, context: spanIn(trace), parent: trace, startNs, endNs: now(), error } });
  try {
    const value = await run();
    ended();
    return value;
  } catch (error) {
    ended(error instanceof Error ? error.message : String(error));
    throw error;
  }
}

/** What the terminal of a program says, with the spans that follow from it. @param instance of the virtual kernel */
export function tracedProgram(
  { trace }: CallContext,
  said: AsyncGenerator<Response>,
  instance: string,
): AsyncGenerator<Response> {
  const tracer = ownTracer();
  if (tracer === undefined || trace === undefined) return said;
  const of = { service: 'vkernel', instance };
  let startNs = now();
  let pid: number | undefined;
  const tell = (name: string, more: { code?: number; error?: string } = {}): void => {
    const endNs = now();
    const { code, error } = more;
    const attributes = { 'odonata.pid': pid, ...(code !== undefined && { 'process.exit.code': code }) };
    tracer.record({
      ...{ name, context: spanIn(trace), parent: trace, startNs, endNs, attributes, error, of },
    });
    startNs = endNs;
  };
  async function* traced(): AsyncGenerator<Response> {
    for await (const response of said) {
      const { event } = response;
      if (event?.case === 'started') {
        pid = Number(event.value.pid);
        tell('load program');
      } else if (event?.case === 'exited') {
        const { code = 0, signal, reason } = event.value;
        tell('run program', { code, ...(signal && { error: reason || signal }) });
      }
      yield response;
    }
  }
  return traced();
}
