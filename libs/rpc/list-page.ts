// Lists a page at a time: ordered by a key, the token is the last key that was sent.
import { invalidField } from './refusal.ts';

const DEFAULT_ITEMS = 100;
export const MAX_ITEMS = 1_000;

/** @param items ordered by `keyOf`. @throws RpcError INVALID_ARGUMENT for a size past the bound. */
export function pageOf<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  pageSize: number,
  pageToken: string,
): { items: T[]; nextPageToken: string } {
  if (pageSize > MAX_ITEMS)
    throw invalidField('page_size', `page_size: at most ${MAX_ITEMS}, not ${pageSize}`);
  const count = pageSize === 0 ? DEFAULT_ITEMS : pageSize;
  let from = 0;
  if (pageToken !== '') {
    const at = items.findIndex((item) => keyOf(item) === pageToken);
    if (at === -1) throw invalidField('page_token', 'page_token: the list changed; start it anew');
    from = at + 1;
  }
  const page = items.slice(from, from + count);
  const last = page.at(-1);
  return { items: page, nextPageToken: from + count < items.length && last !== undefined ? keyOf(last) : '' };
}
