// What the routers know of each other. Each is asked itself, as each sees the others from where it is.
import { type KnownRoute, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { type CallOptions, createClient } from '@odonata/rpc/client.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { routerAddresses } from '@odonata/rpc/syslink/routers.ts';

const ASK_MS = 5_000;
const PAGE_ITEMS = 1_000;

export interface RoutesOf {
  /** The name of the router that was asked. */
  readonly router: string;
  readonly address: string;
  /** By name of the target, the best first. */
  readonly routes: readonly KnownRoute[];
}

export interface RouteList {
  readonly routers: readonly RoutesOf[];
  readonly silent: readonly { readonly address: string; readonly error: unknown }[];
}

/** @param routers their addresses, with commas between */
export async function listRoutes(
  routers: string,
  { folder, signal }: { folder?: TlsFolder | undefined; signal: AbortSignal | undefined },
): Promise<RouteList> {
  const known: RoutesOf[] = [];
  const silent: { address: string; error: unknown }[] = [];
  const call = { deadlineMs: ASK_MS, signal };
  await Promise.all(
    routerAddresses(routers).map(async (address) => {
      try {
        known.push(await routesAt(address, folder, call));
      } catch (error) {
        signal?.throwIfAborted();
        silent.push({ address, error });
      }
    }),
  );
  return { routers: known.sort((a, b) => (a.router < b.router ? -1 : 1)), silent };
}

async function routesAt(
  address: string,
  folder: TlsFolder | undefined,
  call: CallOptions,
): Promise<RoutesOf> {
  const client = createClient(RouterService, address, { folder });
  try {
    const routes: KnownRoute[] = [];
    for (let pageToken = ''; ; ) {
      const page = await client.listRoutes({ pageSize: PAGE_ITEMS, pageToken }, call);
      routes.push(...page.routes);
      pageToken = page.nextPageToken;
      if (pageToken === '') return { router: page.router, address, routes };
    }
  } finally {
    client.close();
  }
}
