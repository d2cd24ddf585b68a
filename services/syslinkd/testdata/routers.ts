import { Role } from '@odonata/proto/auth/v1/access';
import { EndpointKind, type KnownRoute, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { createClient } from '@odonata/rpc/client.ts';
import { RpcError } from '@odonata/rpc/error.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { expect } from 'vitest';
import { type SyslinkdOptions, serveSyslinkd } from '../serve.ts';

/** What ends after each test. */
export const cleanup: (() => unknown)[] = [];
export async function clean(): Promise<void> {
  for (const step of cleanup.splice(0).reverse()) await step();
}

export async function router(
  name: string,
  peers: readonly { address: string }[],
  more: Partial<SyslinkdOptions> = {},
) {
  const list = peers.map(({ address }) => address).join();
  const started = await serveSyslinkd({
    listen: '127.0.0.1:0',
    log: silentLog(),
    name,
    peers: list,
    ...more,
  });
  cleanup.push(() => started.stop());
  return started;
}

export function attach(name: string, at: { address: string }, folder?: TlsFolder): SyslinkEndpoint {
  const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.VKERNEL;
  const node = name.split('/')[0];
  const endpoint = attachSyslink({ address: at.address, name, kind, node, log: silentLog(), folder });
  cleanup.push(() => endpoint.close());
  return endpoint;
}

/** Answers, and counts for who follows; `asked` says who asked, as it knows them. */
export function serving(name: string, at: { address: string }, folder?: TlsFolder) {
  const asked: string[] = [];
  /** Waits until it is given up. */
  const givenUp: unknown[] = [];
  const endpoint = attach(name, at, folder).serve(VkernelService, {
    listVkernels: (_request, ctx) => {
      asked.push(`${Role[ctx.caller.role]} ${ctx.caller.name}`);
      return {};
    },
    async kill(_request, ctx) {
      await delay(30_000, ctx.signal);
      givenUp.push(ctx.signal.reason.code);
      return {};
    },
    async *getLogs(_request, ctx) {
      for (let i = 0n; !ctx.signal.aborted; i++) {
        yield { droppedBytes: i };
        await delay(5, ctx.signal);
      }
    },
  });
  return { endpoint, asked, givenUp };
}

export async function until(what: string, holds: () => unknown, timeoutMs = 30_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(10);
  }
}

export async function failure(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(RpcError);
  return error as RpcError;
}

export async function routesOf({ address }: { address: string }): Promise<KnownRoute[]> {
  const client = createClient(RouterService, address);
  try {
    return (await client.listRoutes({})).routes;
  } finally {
    client.close();
  }
}

export const shown = (routes: readonly KnownRoute[]): string[] =>
  routes.map(({ path, used }) => `${path.join('-')}${used ? '' : ' (spare)'}`);

export const knows = (at: { address: string }, ...names: string[]) =>
  until(`routes to ${names}`, async () => {
    const known = new Set((await routesOf(at)).map(({ name }) => name));
    return names.every((name) => known.has(name));
  });

export const asks = (client: SyslinkEndpoint, name: string) =>
  client.client(VkernelService, { name }).listVkernels({});
