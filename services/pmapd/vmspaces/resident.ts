// Which pages of an address space have frames, looked at in small turns.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { AddressSpace, Part, Run } from './address-space.ts';

/** Pages of dataspaces that are looked at in one turn, whether they have frames or not. */
export const LOOKED_AT_A_TURN = 16_384;

/** How much of a turn is left. */
export class Look {
  left = LOOKED_AT_A_TURN;
}

/** The resident pages of a part of a dataspace, from an address on; a run without pages where the turn is over. */
export function* residentOf(part: Part, from: number, look: Look): Generator<Run> {
  const { dataspace, address, lengthBytes, offsetBytes } = part;
  if (dataspace === undefined) return;
  const first = offsetBytes / PAGE_BYTES;
  const count = lengthBytes / PAGE_BYTES;
  const runAt = (page: number, pages: number): Run => ({
    ...{ address: address + (page - first) * PAGE_BYTES, pages, dataspace, firstPage: page },
  });
  for (let at = Math.max(0, Math.ceil((from - address) / PAGE_BYTES)); at < count; ) {
    const looked = Math.min(look.left, count - at);
    for (const { firstPage, pageCount } of dataspace.file.residentSpans(first + at, looked))
      yield runAt(firstPage, pageCount);
    at += looked;
    look.left -= looked;
    if (look.left > 0) continue;
    yield runAt(first + at, 0);
    look.left = LOOKED_AT_A_TURN;
  }
}

const goesOn = (last: Run, { address, dataspace, firstPage }: Run): boolean =>
  last.address + last.pages * PAGE_BYTES === address &&
  last.dataspace === dataspace &&
  last.firstPage + last.pages === firstPage;

/**
 * Some runs, and the address of the next one.
 * @param find looked for in each turn: it may have ended
 * @throws RpcError what `find` throws; CANCELLED
 */
export async function listResident(
  find: () => Pick<AddressSpace, 'residentRuns'>,
  from: number,
  most: number,
  signal?: AbortSignal,
): Promise<{ runs: Run[]; next?: number }> {
  const runs: Run[] = [];
  let at: number | undefined = from;
  // The last run may go on where the last turn ended.
  for (let isResumed = false; ; isResumed = true) {
    const begun: number = at;
    at = undefined;
    for (const run of find().residentRuns(begun)) {
      if (run.address < begun) continue;
      if (run.pages === 0) {
        at = run.address;
        break;
      }
      const last = runs.at(-1);
      const joins = isResumed && run.address === begun && last !== undefined && goesOn(last, run);
      if (joins) runs[runs.length - 1] = { ...last, pages: last.pages + run.pages };
      else if (runs.length === most) return { runs, next: run.address };
      else runs.push(run);
    }
    if (at === undefined) return { runs };
    await nextTurn();
    if (signal?.aborted) throw new RpcError(Code.Cancelled, 'whoever asked for it went away');
  }
}
