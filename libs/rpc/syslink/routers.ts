// Where the routers of a cluster are: addresses, and names that stand for several.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { isUnix, splitAddress } from '../address.ts';

/** So many routers are attached to; more are left out. */
export const ROUTERS_LIMIT = 32;

/** `a:7411,b:7411` in its parts; `unix:/path` is one, too. */
export function routerAddresses(list: string): string[] {
  return list
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** True where some address is a name: what it stands for may change. */
export function hasNames(list: string): boolean {
  return routerAddresses(list).some((address) => !isUnix(address) && isIP(splitAddress(address).host) === 0);
}

/**
 * The addresses of a list, each name as all that it stands for (a headless service of Kubernetes: one a router), each
 * once. A name that nobody knows is left out while others are there.
 * @throws Error when none is left: why the last name stands for nothing.
 */
export async function resolveRouters(list: string): Promise<string[]> {
  let failure: unknown = new Error('no address');
  const found = await Promise.all(
    routerAddresses(list).map(async (address) => {
      if (isUnix(address)) return [address];
      const { host, port } = splitAddress(address);
      try {
        const all = await lookup(host, { all: true });
        return all.map(({ address, family }) => `${family === 6 ? `[${address}]` : address}:${port}`);
      } catch (error) {
        failure = error;
        return [];
      }
    }),
  );
  const addresses = [...new Set(found.flat())].slice(0, ROUTERS_LIMIT);
  if (addresses.length === 0) throw failure;
  return addresses;
}
