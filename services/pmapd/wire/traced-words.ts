// What is said to the directory and heard of it, as parts of the traces that it belongs to.
import type { HolderEventInit } from '@odonata/coherency/node/lines/holder-wire.ts';
import type { DirectoryEvent } from '@odonata/proto/coherency/v1/coherency';
import { isContext } from '@odonata/rpc/trace/context.ts';
import type { PageTraces } from '../traces/page-traces.ts';

/** An acquire for a fault that is traced says so. */
export function saidInTrace(traces: PageTraces, said: HolderEventInit): HolderEventInit {
  if (said?.case !== 'acquire' || traces.size === 0) return said;
  const { run } = said.value;
  if (run === undefined) return said;
  const { dataspace = 0n, firstPage = 0, pageCount = 0 } = run;
  const trace = traces.acquires({ dataspace, firstPage, pageCount });
  return trace === undefined ? said : { case: 'acquire', value: { ...said.value, trace } };
}

/** Runs what follows a word. */
export function heardInTrace(
  traces: PageTraces,
  heard: DirectoryEvent['event'],
  follow: () => unknown,
): void {
  if (heard.case === 'recall' && isContext(heard.value.trace) && heard.value.run !== undefined)
    traces.recalled(heard.value.run, heard.value.trace);
  if (heard.case === 'invalidate' && isContext(heard.value.trace) && heard.value.run !== undefined)
    traces.within('invalidate', heard.value.trace, heard.value.run, follow);
  else follow();
}
