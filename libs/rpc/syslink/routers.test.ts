import { expect, it } from 'vitest';
import { hasNames, ROUTERS_LIMIT, resolveRouters } from './routers.ts';

it('a list is each address once, names are all that they stand for', async () => {
  expect(await resolveRouters('127.0.0.1:7411, 127.0.0.2:7411,127.0.0.1:7411,[::1]:7411,')).toEqual([
    '127.0.0.1:7411',
    '127.0.0.2:7411',
    '[::1]:7411',
  ]);
  const both = await resolveRouters('localhost:7411,127.0.0.1:7411,127.0.0.1:7412');
  expect(both.filter((address) => address === '127.0.0.1:7411')).toHaveLength(1);
  expect(both).toContain('127.0.0.1:7412');
  expect(both.every((address) => /^(127\.0\.0\.1|\[::1\]):741[12]$/.test(address))).toBe(true);
});

it('a name that nobody knows is left out, unless it is all there is', async () => {
  expect(await resolveRouters('nobody.invalid:7411,127.0.0.1:7411')).toEqual(['127.0.0.1:7411']);
  await expect(resolveRouters('nobody.invalid:7411')).rejects.toThrow('nobody.invalid');
  await expect(resolveRouters(' , ')).rejects.toThrow('no address');
});

it('a list has a bound', async () => {
  const many = Array.from({ length: 100 }, (_, i) => `127.0.0.1:${i + 1}`).join();
  expect(await resolveRouters(many)).toHaveLength(ROUTERS_LIMIT);
});

it('only names are looked up again', () => {
  expect(hasNames('127.0.0.1:1,[::1]:1')).toBe(false);
  expect(hasNames('127.0.0.1:1,syslinkd-headless:7411')).toBe(true);
});
