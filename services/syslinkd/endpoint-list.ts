// Lists a page at a time.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Endpoint as EndpointMessage, EndpointSchema } from '@odonata/proto/syslink/v1/syslink';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { Endpoint } from './registry.ts';

const PAGE_DEFAULT = 100;
const PAGE_MAX = 1000;

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
      return { sysid, name, kind, session, node, nodeIndex, connected: connection !== undefined };
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

/** The page after so many routes: they change, and a list of them is a look. */
export function routesPage<T>(all: readonly T[], pageSize: number, pageToken: string) {
  const size = Math.min(pageSize || PAGE_DEFAULT, PAGE_MAX);
  if (!/^\d{0,9}$/.test(pageToken)) throw invalidField('page_token', `"${pageToken}" is no page token`);
  const start = Number(pageToken || 0);
  const end = start + size;
  return { routes: all.slice(start, end), nextPageToken: end < all.length ? String(end) : '' };
}

function splitToken(pageToken: string): [bigint, string] {
  const match = /^(\d{1,20}):(.*)$/s.exec(pageToken);
  if (match === null) throw invalidField('page_token', `"${pageToken}" is no page token`);
  return [BigInt(match[1]!), match[2]!];
}
