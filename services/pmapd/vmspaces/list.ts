// A page of the list of vmspaces: of however many there are, and of however few that whoever asks may see.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { MAX_ITEMS } from '@odonata/rpc/list-page.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';

/** Vmspaces that are looked at in one turn, whether they are told or not. */
export const LOOKED_AT_A_TURN = 8_192;

/**
 * @param from those with this id and behind it, in order; asked anew in each turn
 * @returns what is wanted, and the id of the last one where there may be more
 * @throws RpcError INVALID_ARGUMENT, CANCELLED
 */
export async function listSpaces<T extends { readonly id: bigint }>(
  from: (first: bigint) => Iterable<T>,
  about: { first: bigint; most: number; isWanted: (space: T) => boolean; signal: AbortSignal },
): Promise<{ items: T[]; next?: bigint }> {
  const { most, isWanted, signal } = about;
  if (most > MAX_ITEMS) throw invalidField('page_size', `page_size: at most ${MAX_ITEMS}, not ${most}`);
  const items: T[] = [];
  for (let first: bigint | undefined = about.first; first !== undefined; ) {
    let looked = 0;
    let next: bigint | undefined;
    for (const space of from(first)) {
      if (looked++ === LOOKED_AT_A_TURN) {
        next = space.id;
        break;
      }
      if (!isWanted(space)) continue;
      // There is one more.
      if (items.length === most) return { items, next: items.at(-1)!.id };
      items.push(space);
    }
    first = next;
    if (first === undefined) break;
    await nextTurn();
    if (signal.aborted) throw new RpcError(Code.Cancelled, 'whoever asked for it went away');
  }
  return { items };
}
