// Of which dataspaces a gateway may bring pages: those of other clusters that the node knows, and those that everybody may write.
import { silentLog } from '@odonata/rpc/log.ts';
import { expect, test, vi } from 'vitest';
import { GatewayPages } from './gateway-pages.ts';

/** A node that knows some dataspaces. @param names by identity */
function pagesOf(names: Record<string, string>, mode: number) {
  const getDataspace = vi.fn(async ({ name }: { name: string }) => {
    const id = Object.keys(names).find((each) => names[each] === name);
    return { dataspace: { id: BigInt(id!), mode } };
  });
  const pages = new GatewayPages({
    nameOf: (dataspace) => names[`${dataspace}`],
    directory: () => ({ getDataspace }) as never,
    log: silentLog(),
  });
  return { pages, getDataspace };
}

test('what this life of the node does not know is unknown, and nobody is asked for it', () => {
  const { pages, getDataspace } = pagesOf({ 1: 'board@north' }, 0o666);
  expect([pages.look(1n), pages.look(2n)]).toEqual(['may', 'unknown']);
  expect([pages.mayBring(1n), pages.mayBring(2n)]).toEqual([true, false]);
  expect(getDataspace).not.toHaveBeenCalled();
});

test('of its own cluster it may bring what everybody may write, once the directory has said so', async () => {
  const { pages, getDataspace } = pagesOf({ 1: 'board' }, 0o606);
  expect(pages.look(1n)).toBe('unknown');
  await vi.waitFor(() => expect(pages.look(1n)).toBe('may'));
  expect(getDataspace).toHaveBeenCalledTimes(1);
});

test('it may not bring what not everybody may write', () => {
  const { pages } = pagesOf({ 1: 'table' }, 0o604);
  pages.learn({ id: 1n, mode: 0o604 });
  expect([pages.look(1n), pages.mayBring(1n)]).toEqual(['may not', false]);
});
