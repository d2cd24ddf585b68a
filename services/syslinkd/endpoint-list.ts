// Lists a page at a time.
import { type MessageInitShape, toJsonString } from '@bufbuild/protobuf';
import type {
  Endpoint as EndpointMessage,
  EndpointSchema,
  NamedEndpoint,
} from '@odonata/proto/syslink/v1/syslink';
import { NamedEndpointSchema } from '@odonata/proto/syslink/v1/syslink';
import { delay } from '@odonata/rpc/backoff.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { Endpoint } from './registry.ts';

const PAGE_DEFAULT = 100;
export const PAGE_MAX = 1000;
const LOOK_MS = 100;

type Listed = MessageInitShape<typeof EndpointSchema> & { sysid: bigint; name: string };

/** Who is attached here, also lately, and who elsewhere: each name once, where it is attached now. */
export function everybody(
  here: readonly Endpoint[],
  elsewhere: ReadonlyMap<string, EndpointMessage>,
): Listed[] {
  const attached = new Set(here.flatMap(({ name, connection }) => (connection === undefined ? [] : [name])));
  const away = [...elsewhere.values()].filter(({ name }) => !attached.has(name));
  const names = new Set(away.map(({ name }) => name));
  const all: Listed[] = here
    .filter(({ name, connection }) => connection !== undefined || !names.has(name))
    .map(({ sysid, name, kind, session, node, nodeIndex, connection }) => {
      const waitingBytes = BigInt(connection?.waitingBytes ?? 0);
      return {
        sysid,
        name,
        kind,
        session,
        node,
        nodeIndex,
        connected: connection !== undefined,
        waitingBytes,
      };
    });
  all.push(...away);
  return all.sort((a, b) => (a.name === b.name ? Number(a.sysid - b.sysid) : a.name < b.name ? -1 : 1));
}

/** The page after the endpoint that the token names. */
export function endpointsPage(all: readonly Listed[], pageSize: number, pageToken: string) {
  const size = Math.min(pageSize || PAGE_DEFAULT, PAGE_MAX);
  let start = 0;
  if (pageToken !== '') {
    const [sysid, name] = splitToken(pageToken);
    start = all.findIndex((e) => e.name > name || (e.name === name && e.sysid > sysid));
    if (start < 0) start = all.length;
  }
  const endpoints = all.slice(start, start + size);
  const last = endpoints.at(-1);
  return {
    endpoints,
    nextPageToken: last !== undefined && start + size < all.length ? `${last.sysid}:${last.name}` : '',
  };
}

/** The page after so many: they change, and a list of them is a look. */
function pageOf<T>(all: readonly T[], pageSize: number, pageToken: string) {
  const size = Math.min(pageSize || PAGE_DEFAULT, PAGE_MAX);
  if (!/^\d{0,9}$/.test(pageToken)) throw invalidField('page_token', `"${pageToken}" is no page token`);
  const start = Number(pageToken || 0);
  const end = start + size;
  return { items: all.slice(start, end), nextPageToken: end < all.length ? String(end) : '' };
}

export function routesPage<T>(all: readonly T[], pageSize: number, pageToken: string) {
  const { items, nextPageToken } = pageOf(all, pageSize, pageToken);
  return { routes: items, nextPageToken };
}

export function namesPage<T>(all: readonly T[], pageSize: number, pageToken: string) {
  const { items, nextPageToken } = pageOf(all, pageSize, pageToken);
  return { names: items, nextPageToken };
}

/** Who has a name, at once and whenever that changes. */
export async function* watched(look: () => NamedEndpoint[], signal: AbortSignal) {
  for (let before: string | undefined; !signal.aborted; await delay(LOOK_MS, signal)) {
    const endpoints = look();
    const now = endpoints.map((each) => toJsonString(NamedEndpointSchema, each)).join();
    if (now === before) continue;
    before = now;
    yield { endpoints };
  }
}

function splitToken(pageToken: string): [bigint, string] {
  const match = /^(\d{1,20}):(.*)$/s.exec(pageToken);
  if (match === null) throw invalidField('page_token', `"${pageToken}" is no page token`);
  return [BigInt(match[1]!), match[2]!];
}
