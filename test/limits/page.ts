// docs/limits.md: what is bounded, made from the constants that bound it.

import * as desk from '@odonata/coherency/desk/home-desk.ts';
import { HELD_MAX, WAITING_MAX } from '@odonata/coherency/locks/range-lock.ts';
import { LOCKED_MAX, OWNERS_MAX } from '@odonata/coherency/locks/sync-desk.ts';
import { WAITERS_IN_ALL_MAX, WAITERS_MAX } from '@odonata/coherency/locks/waiters.ts';
import { HOLDERS_MAX, MAPPED_MAX } from '@odonata/coherency/replica/replica.ts';
import { PARKED_MAX } from '@odonata/coherency/replica/shard/parked-events.ts';
import { CONNECTION_MB, HEADERS_BYTES, MAX_MESSAGE_BYTES, STREAMS_MAX } from '@odonata/rpc/channel.ts';
import { CONNECTIONS_MAX, HANDSHAKE_MS } from '@odonata/rpc/connection-bounds.ts';
import { FIELDS_MAX } from '@odonata/rpc/constraints/fields.ts';
import { EVENTS_MAX } from '@odonata/rpc/events.ts';
import { MAX_ITEMS } from '@odonata/rpc/list-page.ts';
import { LODGERS_MAX } from '@odonata/rpc/lodging/wanted.ts';
import { PARKED_MAX as UNREAD_MAX } from '@odonata/rpc/raw-call.ts';
import { CALLS_MAX } from '@odonata/rpc/running-calls.ts';
import {
  BULK_BYTES,
  CALLS_LIMIT,
  CIRCUIT_WINDOW_BYTES,
  CIRCUITS_LIMIT,
  HEAD_BYTES,
} from '@odonata/rpc/syslink/frame.ts';
import { SPANS_MAX } from '@odonata/rpc/trace/exporter.ts';
import { VKERNELS_LIMIT } from '@odonata/rpc/vkernel-uids.ts';
import { WANTED_MAX } from '@odonata/services/wanted.ts';
import { BACKLOG_MAX } from '@odonata/userfault/named-sockets.ts';
import { PATIENCE_MS } from '../../libs/coherency/lending/lender.ts';
import { NAMES_OF_ENDPOINT, NAMES_OF_ROUTER } from '../../libs/syslink/names/name-table.ts';
import { HOPS_MAX, LINKS_MAX, NAMES_MAX, TARGETS_MAX } from '../../libs/syslink/routes/advertisement.ts';
import { DATASPACE_BYTES_MAX, DATASPACES_MAX } from '../../services/cohd/registry.ts';
import { LINK_CIRCUITS_LIMIT } from '../../services/syslinkd/circuits.ts';
import { GIVE_UP_MS } from '../../services/syslinkd/gateway/memory/borrowing.ts';
import { WAITING_MAX as WORDS_MAX } from '../../services/syslinkd/gateway/memory/words.ts';
import { NAMES_MAX as EXPORTED_MAX, PEERS_MAX } from '../../services/syslinkd/gateway/policy-form.ts';
import { SILENT_MS } from '../../services/syslinkd/gateway/session.ts';
import {
  WAITING_BYTES as GATEWAY_WAITING,
  WINDOW_BYTES as GATEWAY_WINDOW,
  PIECE_BYTES,
} from '../../services/syslinkd/gateway/session-circuits.ts';
import { CLIENTS_LIMIT, CONNECTED_LIMIT } from '../../services/syslinkd/registry.ts';
import { DEAF_BYTES, FULL_BYTES, LINK_CALLS_LIMIT } from '../../services/syslinkd/router.ts';
import { MEMBERS_MAX } from '../../services/vkctl/door/desk.ts';
import { CONNECTIONS_MAX as DOOR_CONNECTIONS_MAX, JOINS_MAX } from '../../services/vkctl/door/https.ts';
import { REQUEST_BYTES_MAX } from '../../services/vkctl/door/messages.ts';
import { TOKENS_MAX } from '../../services/vkctl/door/token-book.ts';
import { WINDOW_BYTES } from '../../services/vkerneld/names/guest-socket.ts';
import {
  CONNECTIONS_OF_VKERNEL,
  CONNECTIONS_MAX as NAMED_MAX,
} from '../../services/vkerneld/names/named-connections.ts';
import {
  NAMES_MAX as LISTENED_MAX,
  NAMES_OF_USER as LISTENED_OF_USER,
  LISTENERS_OF_PROCESS,
} from '../../services/vkerneld/names/named-listeners.ts';
import { ARGUMENT_BYTES, LOADING_BYTES, MODULE_BYTES } from '../../services/vkerneld/program-spec.ts';
import { UNDER_WAY_MAX as SNAPSHOTS_MAX } from '../../services/vkerneld/snapshots.ts';
import { BYTES_MAX as COMPILED_BYTES } from '../../services/vkerneld/vkernel/compiled-programs.ts';
import { PROCESSES_MAX, THREADS_MAX } from '../../services/vkerneld/vkernel/most-processes.ts';
import { HELD_MS } from '../../services/vkerneld/vkernel/snapshots/snapshot-point.ts';
import { GLOBALS_MAX } from '../../services/vkerneld/vkernel/wasm/kept-globals.ts';
import { BURST_BYTES } from '../../services/vkerneld/vkernel-log.ts';
import { DEFINED_MAX } from '../../services/vkerneld/vkernel-quotas.ts';
import { NODE_LIMITS } from './node-limits.ts';
import { count, EXHAUSTED, INVALID, type Row, size } from './row.ts';

const PARTS: Record<string, readonly Row[]> = {
  'Every server': [
    [
      ...(['an address', 'connections', count(CONNECTIONS_MAX)] as const),
      ...(['the connection is closed', '', 'event `security`: `connections`'] as const),
    ],
    ['an address of syslinkd', 'connections', count(CONNECTED_LIMIT + 1_000), 'the connection is closed'],
    [
      'an address',
      `connections without a handshake, each ${HANDSHAKE_MS / 1000} s`,
      'a quarter',
      'the oldest is closed',
    ],
    ['a person', 'connections to an address', 'a quarter', 'the connection is closed'],
    [
      'a connection',
      'calls and streams',
      count(STREAMS_MAX),
      'a client of ours waits; others are UNAVAILABLE',
    ],
    [
      'a connection',
      'what HTTP/2 keeps of it',
      `${CONNECTION_MB} MB`,
      'calls that come then are refused: UNAVAILABLE',
    ],
    ['a call', 'headers, unpacked', size(HEADERS_BYTES), 'it is refused'],
    ['a caller', 'calls and streams', count(CALLS_MAX), EXHAUSTED, '', '`calls`, by pmapd'],
    [
      ...(['a stream', 'messages that its reader has not read', count(UNREAD_MAX)] as const),
      ...([`${EXHAUSTED}, and it ends`, '', '`unread`, by pmapd'] as const),
    ],
    ['a message', 'bytes', size(MAX_MESSAGE_BYTES), EXHAUSTED],
    ['a message', 'fields, at all depths', count(FIELDS_MAX), INVALID],
    ['a list', 'items of one page', count(MAX_ITEMS), INVALID],
    ['a service', 'events that `vkctl events` shows', count(EVENTS_MAX), 'the oldest go'],
    ['a service', 'spans that wait for the collector', count(SPANS_MAX), 'dropped, and counted'],
  ],
  'Door (vkctl up --address)': [
    ['a cluster', 'nodes of other machines', count(MEMBERS_MAX), '`vkctl join` refused'],
    ['a cluster', 'tokens that count', count(TOKENS_MAX), EXHAUSTED],
    ['a door', 'connections of machines', count(DOOR_CONNECTIONS_MAX), 'closed'],
    ['a door', 'machines that join at a time', count(JOINS_MAX), 'tried again by `vkctl join`'],
    ['a machine', 'bytes of a request', size(REQUEST_BYTES_MAX), 'refused'],
    ['a machine', 'clusters that lodge there', count(LODGERS_MAX), '`vkctl vkernel create` refused'],
  ],
  'Router (syslinkd)': [
    ['a router', 'endpoints', count(CONNECTED_LIMIT), EXHAUSTED],
    ['a person', 'clients connected', count(CLIENTS_LIMIT), EXHAUSTED],
    ['an endpoint', 'requests not answered', count(CALLS_LIMIT), EXHAUSTED],
    ['an endpoint', 'circuits', count(CIRCUITS_LIMIT), EXHAUSTED],
    [
      'an endpoint',
      'bytes not read, before it gets no more requests',
      size(FULL_BYTES),
      `${EXHAUSTED} for who asks`,
    ],
    ['an endpoint', 'bytes not read, before its line ends', size(DEAF_BYTES), EXHAUSTED],
    ['a circuit', 'bytes one way, and one message', size(CIRCUIT_WINDOW_BYTES), `${EXHAUSTED}, and it ends`],
    ['a circuit', 'bytes that its reader says it took', 'what it was given', `${INVALID}, and it ends`],
    ['a router', 'lines to other routers', count(LINKS_MAX), 'the line is refused'],
    ['a line to a router', 'requests not answered', count(LINK_CALLS_LIMIT), EXHAUSTED],
    ['a line to a router', 'circuits', count(LINK_CIRCUITS_LIMIT), EXHAUSTED],
    ['a line to a router', 'routers that it tells of', count(TARGETS_MAX), `${INVALID}, and it ends`],
    ['a router', 'names that others hear of', count(NAMES_MAX), 'they hear of the first ones only'],
    ['an endpoint', 'names registered', count(NAMES_OF_ENDPOINT), EXHAUSTED],
    ['a router', 'names registered', count(NAMES_OF_ROUTER), EXHAUSTED],
    ['a way', 'routers on it', count(HOPS_MAX), 'there is no way'],
    ['a message', 'bytes of its head', size(HEAD_BYTES), INVALID],
    ['a message', 'bytes beside it', size(BULK_BYTES), INVALID],
  ],
  'Gateway to other clusters': [
    ['a gateway', 'clusters', count(PEERS_MAX), 'the policy is of no use'],
    [
      'a cluster',
      'nodes with locks or waits of a dataspace, each',
      count(desk.SESSIONS_MAX),
      'more of them wait, until there is room',
    ],
    ['a cluster', 'its processes with locks or waits here', count(desk.OWNERS_MAX), 'the request is refused'],
    [
      'a cluster',
      'its locks, barriers and waits that wait here',
      count(desk.WAITING_MAX),
      'the request is refused',
    ],
    ['a cluster', 'ranges that it holds here', count(desk.HELD_MAX), 'the lock is refused'],
    ['a cluster', 'names exported, and names imported', count(EXPORTED_MAX), 'the policy is of no use'],
    ['a cluster', 'requests and circuits a second', '1,000', EXHAUSTED, '`rates.messages`'],
    ['a cluster', 'bytes a second, each way', size(8 * 2 ** 20), 'it waits', '`rates.bytes`'],
    ['a cluster', 'frames a second', '4 a message, and 1 each 4 KiB', 'it waits', '`rates`'],
    ['a cluster', 'circuits, both ways', '256', EXHAUSTED, '`rates.circuits`'],
    ['a cluster', 'requests not answered, each way', '256', EXHAUSTED, '`rates.requests`'],
    ['a circuit', 'bytes one way, and one message', size(GATEWAY_WINDOW), `${EXHAUSTED}, and it ends`],
    ['a circuit', 'bytes of a message', size(PIECE_BYTES), `${EXHAUSTED}, and it ends`],
    [
      'a cluster',
      'bytes of its circuits that nobody took',
      size(GATEWAY_WAITING),
      `${EXHAUSTED}, and a circuit ends`,
    ],
    ['a cluster', 'dataspaces exported, and imported', count(EXPORTED_MAX), 'the policy is of no use'],
    [
      'a gateway',
      'bytes of dataspaces that are exported, and imported',
      size(256 * 2 ** 20),
      'these are not there',
      '`memory`',
    ],
    [
      'a cluster',
      'milliseconds that it does not give a page back',
      count(PATIENCE_MS),
      'its lease is not renewed',
    ],
    ['a line', 'milliseconds without a lease, for who waits for a page', count(GIVE_UP_MS), 'an error'],
    ['a line', 'words about pages that wait', count(WORDS_MAX), `${EXHAUSTED}, and it ends`],
    ['a line', 'milliseconds without a word', count(SILENT_MS), 'UNAVAILABLE, and it ends'],
  ],
  'Directory (cohd)': [
    ['a cluster', 'dataspaces', count(DATASPACES_MAX), EXHAUSTED],
    ['a cluster', 'virtual kernels of which something is said', count(WANTED_MAX), EXHAUSTED],
    ['a cluster', 'folders that are allowed', count(WANTED_MAX), EXHAUSTED],
    ['a user', 'dataspaces owned', '10,000', EXHAUSTED, '`--user-dataspaces`'],
    ['a dataspace', 'bytes', size(Number(DATASPACE_BYTES_MAX)), INVALID],
    ['a replica', 'holders', count(HOLDERS_MAX), EXHAUSTED],
    ['a holder', 'dataspaces mapped', count(MAPPED_MAX), `${EXHAUSTED}, and its stream ends`],
    ['a holder', 'processes that lock or wait', count(OWNERS_MAX), 'EXHAUSTED for the request'],
    ['a shard', 'events that wait', count(PARKED_MAX), 'UNAVAILABLE: say it again'],
    ['a shard', 'dataspaces with locks', count(LOCKED_MAX), 'EXHAUSTED for the request'],
    ['a shard', 'waiters', count(WAITERS_IN_ALL_MAX), 'EXHAUSTED for the request'],
    ['an address', 'waiters', count(WAITERS_MAX), 'EXHAUSTED for the request'],
    ['a dataspace', 'ranges held', count(HELD_MAX), 'EXHAUSTED for the request'],
    ['a dataspace', 'locks that wait', count(WAITING_MAX), 'EXHAUSTED for the request'],
  ],
  'Node (pmapd)': NODE_LIMITS,
  'Programs (vkerneld)': [
    ['a node', 'virtual kernels', count(VKERNELS_LIMIT), EXHAUSTED],
    ['a node', 'virtual kernels of which it was said what they may have', count(DEFINED_MAX), EXHAUSTED],
    ['a program', 'bytes of its module', size(MODULE_BYTES), INVALID],
    ['a node', 'bytes of modules on their way in', size(LOADING_BYTES), EXHAUSTED],
    [
      'a virtual kernel',
      'bytes of what it compiled, kept for a minute',
      size(COMPILED_BYTES),
      'the oldest go: the module is sent again',
    ],
    [
      'a virtual kernel',
      'processes, with those that are parked',
      count(PROCESSES_MAX),
      '126, with the reason; EAGAIN for a spawn',
    ],
    [
      'a virtual kernel',
      'threads of processes',
      count(THREADS_MAX),
      '126, with the reason; EAGAIN for a spawn; who goes on waits',
    ],
    ['a node', 'snapshots that are being taken', count(SNAPSHOTS_MAX), EXHAUSTED],
    [
      'a snapshot',
      'milliseconds that its process is held',
      count(HELD_MS),
      'FAILED_PRECONDITION: it went on',
    ],
    ['a snapshot', 'bytes that are not zeros, with the module', size(MODULE_BYTES), EXHAUSTED],
    ['a snapshot', 'globals that can change', count(GLOBALS_MAX), 'FAILED_PRECONDITION'],
    ['a process', 'JavaScript heap of its thread', 'a quarter of its quota', 'SIGKILL', '`--memory`'],
    [
      'a virtual kernel',
      'bytes for the log, and 4 KiB a second',
      size(BURST_BYTES),
      'dropped, and one line says how much',
    ],
    ['a program', 'bytes of arguments and variables', size(ARGUMENT_BYTES), INVALID],
    ['a program', 'names that it listens by', count(LISTENERS_OF_PROCESS), 'EAGAIN'],
    ['a person on a node', 'names that programs listen by', count(LISTENED_OF_USER), 'EAGAIN'],
    ['a node', 'names that programs listen by', count(LISTENED_MAX), 'EAGAIN'],
    [
      'a listener by name',
      'connections that wait',
      `${count(BACKLOG_MAX)}, or as it says`,
      'EAGAIN for who connects',
    ],
    ['a virtual kernel', 'connections by name', count(CONNECTIONS_OF_VKERNEL), 'EAGAIN'],
    ['a node', 'connections by name', count(NAMED_MAX), 'EAGAIN'],
    [
      'a connection by name',
      'bytes one way, beside the buffers of two sockets',
      size(WINDOW_BYTES),
      'who writes waits',
    ],
  ],
};

const HEAD = `# Limits

What is bounded, at how many, and what whoever asks for more gets. Made from the constants of the services, by
\`REWRITE=1 npx vitest run test/limits\`. A setting is named where there is one.

Lengths, counts and ranges of single fields stand in \`proto/\` (\`buf.validate\`): how long a name may be, how many events a
message has, how far a page number goes. A request that breaks one is INVALID_ARGUMENT with a line such as
\`page_size: at most 1000, not 4294967295\`. What is refused is an event (\`vkctl events --security\`: who, by
which method, which field; the first three of each caller in a minute) and counts
(\`odonata_<service>_security_refusals_total\`). They are checked wherever a message comes in; that takes 0.1 to 0.9 us a message
on the hot paths (a fault 0.07, a grant 0.2, an acquire 0.4, a call over syslink 0.9; its decoding takes some six times as
long), where protovalidate takes 1.6, 2.5, 6 and 23 us: our checks are made of the same options, and a test holds the two
against each other.

A bug that is met in serving somebody ends what was served, with INTERNAL, and is counted (\`odonata_<service>_bugs_total\`); the
service goes on. Only where an assertion fails does it end, and start again: what all share is not as it must be then. No
message leads there: \`test/fuzz\` says some million.
`;

export function limitsPage(): string {
  return [HEAD, ...Object.entries(PARTS).map(([title, rows]) => table(title, rows))].join('\n');
}

function table(title: string, rows: readonly Row[]): string {
  const heads = ['of', 'what', 'at most', 'else', 'setting', 'counted as'];
  const columns = rows.some((row) => row.length === heads.length) ? heads.length : heads.length - 1;
  const all = [heads, ...rows.map((row) => [...row, '', ''])].map((row) => row.slice(0, columns) as string[]);
  const widths = all[0]!.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return `## ${title}\n\n${line(all[0]!)}\n${rule}\n${all.slice(1).map(line).join('\n')}\n`;
}
