import * as grpc from '@grpc/grpc-js';
import type { Role } from '@odonata/proto/auth/v1/access';
import { isUnix } from './address.ts';
import { closeGoneConnections } from './gone-connections.ts';
import { ownFolder, ownToken } from './identity/own.ts';
import type { TlsFolder } from './identity/tls-folder.ts';
import { TokenSource } from './identity/token-source.ts';
import { channelCredentials, TLS_OPTIONS } from './tls.ts';

/** Largest message either way: a run of pages or a piece of a dataspace, with room to spare. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/**
 * HTTP/2 receive window of each stream, and of a client's connection; the default of 64 KiB stalls page runs.
 *
 * A server's connection keeps the 64 KiB, and must. Node stops reading from a connection while a write to it waits. So
 * when both ends write more than the socket holds (200 KB on a unix socket), each waits for the other to read, for
 * ever. What a client has under way fits into any socket, so a client's writes end, so it reads, so the server's end.
 *
 * Pages come by a connection of their own, on which the server says a few bytes for each MiB: that never fills a socket, so there the
 * server's end takes as much as a stream may have under way (`RawCall.widen`). With 64 KiB each 32 KiB would be a turn of the event loop
 * and a system call for more at both ends.
 *
 * But of a unix socket's 200 KB each write takes 768 bytes at least: a client that writes many small messages fills it with 40 KB. Where
 * one does so, neither end may have more under way than a socket holds: `narrow`.
 */
export const WINDOW_BYTES = 1024 * 1024;
const NARROW_WINDOW_BYTES = 65_535;
export const REQUEST_ID_KEY = 'x-request-id';
/** Of W3C's Trace Context: the trace that a call is part of. */
export const TRACEPARENT_KEY = 'traceparent';

const LIMITS = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  // A peer that stopped (not one that is merely busy) is found out within 40 s; leases find it out sooner.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 20_000,
} as const;

/** Calls and streams of one connection; a client of ours waits with more. */
export const STREAMS_MAX = 1_024;

/** Of all that HTTP/2 keeps of one connection: what waits to be sent, headers, streams. grpc-js has no bound of its own. */
export const CONNECTION_MB = 128;

export const SERVER_OPTIONS: grpc.ServerOptions = {
  ...LIMITS,
  'grpc.max_concurrent_streams': STREAMS_MAX,
  'grpc-node.max_session_memory': CONNECTION_MB,
};

/**
 * How much of HTTP/2 a connection may ask for that is of no use. Most are Node's own; here they stand so that no version of it
 * changes them unseen. More of any ends the stream, or the connection, which is told of (connection-bounds.ts).
 */
export const FRAME_BOUNDS = {
  maxHeaderListPairs: 128,
  /** Acknowledgements that wait to be sent. */
  maxOutstandingPings: 10,
  maxOutstandingSettings: 10,
  maxSessionInvalidFrames: 1_000,
  maxSessionRejectedStreams: 100,
  /** Streams that their peer resets at once, and a second from then on. */
  streamResetBurst: 1_000,
  streamResetRate: 33,
} as const;

/** Of one call, as it is unpacked: a token is some 6 KiB. */
export const HEADERS_BYTES = 32 * 1024;

export const CHANNEL_OPTIONS: grpc.ChannelOptions = {
  ...LIMITS,
  'grpc-node.flow_control_window': WINDOW_BYTES,
  // Retries are the callers' business, and grpc's would keep a copy of what is under way on endless streams.
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
};

/** A line to one server. Clients and streams on it share its connection. */
export type RpcChannel = grpc.Client;

/** What calls on a channel to a unix socket show. */
const tokens = new WeakMap<RpcChannel, { readonly token: string | undefined }>();

/** Undefined where the connection itself says who we are, or nobody asks. */
export const tokenFor = (channel: RpcChannel): string | undefined => tokens.get(channel)?.token;

/** A channel with a connection of its own to `host:port` or `unix:/path`. It connects on first use. */
export function openChannel(
  address: string,
  options: {
    shared?: boolean;
    folder?: TlsFolder | undefined;
    server?: Role | readonly Role[];
    narrow?: boolean;
  } = {},
): RpcChannel {
  if (!isUnix(address)) closeGoneConnections();
  const folder = options.folder ?? ownFolder();
  const channel = new grpc.Client(address, channelCredentials(address, folder, options.server), {
    ...CHANNEL_OPTIONS,
    ...(options.narrow ? { 'grpc-node.flow_control_window': NARROW_WINDOW_BYTES } : {}),
    ...(folder !== undefined && !isUnix(address) ? TLS_OPTIONS : {}),
    // Without this, channels of one process to one address end up on one connection.
    'grpc.use_local_subchannel_pool': options.shared ? 0 : 1,
  });
  if (isUnix(address))
    tokens.set(channel, folder === undefined ? { token: ownToken() } : new TokenSource(folder, address));
  return channel;
}
