// The errors that this library makes itself, beside those that services answer: each an RpcError with an ErrorInfo, so that
// a program tells them apart by a reason, and says them in words of its own. https://google.aip.dev/193
import { create } from '@bufbuild/protobuf';
import { ErrorInfoSchema } from '@odonata/proto/google/rpc/error_details';
import { type Code, RpcError } from '@odonata/rpc/error.ts';

const DOMAIN = 'client.odonata';

/** Why, with what the error tells about it by name. */
export interface ClientReasons {
  BAD_CLUSTER_NAME: { from: string; name: string };
  NO_HOME: { uid: string };
  BAD_ADDRESS: { from: string; address: string };
  NOT_UP: { cluster: string };
  GOES_DOWN: { cluster: string };
  /** A node of a cluster of another machine: nobody has a certificate here. */
  ONLY_A_NODE: { cluster: string; node: string; of: string; routers: string };
  NO_RECORD: { cluster: string; supervisor: string; file: string };
  NO_IDENTITY: { tlsDir: string; why: string };
  ROUTERS_SILENT: { cluster: string; routers: string };
  /** Somebody answers there, by a certificate of an authority that is not ours. */
  ROUTERS_STRANGE: { cluster: string; routers: string };
  /** Ours; since when, as a day. */
  CERTIFICATE_OVER: { cluster: string; tlsDir: string; day: string };
  NO_NODE: { cluster: string; node: string; nodes: string };
  NO_PMAPD: { cluster: string; node: string };
  NO_VKERNELD: { node: string };
  NODE_RESTS: { node: string };
  /** Also but nodes that the program is to be apart from: `but`. */
  /** `node` is empty: on none. */
  NO_VKERNEL: { cluster: string; vkernel: string; node: string };
  NO_PLACE: { cluster: string; but: string };
  TWO_NODES: { node: string; vkernel: string };
  NO_PROCESS: { cluster: string; pid: string };
  START_UNKNOWN: { said: string };
  NO_CONTEXT: { context: string; contexts: string };
  NO_SIZE: { dataspace: string };
  NOT_ON_NODE: { cluster: string; node: string };
  /** What is mapped is not the dataspace any more, as if a process that maps it had ended by that signal. */
  BROKEN_MAPPING: { dataspace: string; signal: string; why: string };
}
export type ClientReason = keyof ClientReasons;

type Told = { [R in ClientReason]: { reason: R } & ClientReasons[R] }[ClientReason];

/** @param details one line for people: what, where */
export function clientError<R extends ClientReason>(
  code: Code,
  reason: R,
  about: ClientReasons[R],
  details: string,
  options: ErrorOptions = {},
): RpcError {
  const metadata = about as Record<string, string>;
  const info = create(ErrorInfoSchema, { reason, domain: DOMAIN, metadata });
  return new RpcError(code, details, { ...options, more: [info] });
}

/** What an error of this library tells; undefined for all others. */
export function clientReason(error: unknown): Told | undefined {
  const info = RpcError.is(error) ? error.detail('google.rpc.ErrorInfo') : undefined;
  return info?.domain === DOMAIN ? ({ ...info.metadata, reason: info.reason } as Told) : undefined;
}
