import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type {
  CircuitData,
  Frame,
  FrameSchema as FrameSchemaType,
  Message,
  RouteUpdate,
  Status,
} from '@odonata/proto/syslink/v1/syslink';
import { FrameSchema, StatusSchema } from '@odonata/proto/syslink/v1/syslink';
import { Code, codeFromNumber, RpcError } from '../error.ts';
import { packDetails, unpackDetails } from '../error-details.ts';
import { bytesIn } from './frames/passed-data.ts';

/** The structured head of a message. */
export const HEAD_BYTES = 4096;
/** The bulk of a message, and one message on a circuit. */
export const BULK_BYTES = 4 * 1024 * 1024;
/** Routers that a frame may cross: the one that it comes from, and the longest way that there is (libs/syslink/routes). */
export const HOP_LIMIT = 17;
/** What the router gives each direction of a circuit. */
export const CIRCUIT_WINDOW_BYTES = 1024 * 1024;
/** Unary calls that wait, and circuits that are open, an endpoint. */
export const CALLS_LIMIT = 4096;
export const CIRCUITS_LIMIT = 1024;
/** A message without a deadline of its own. */
export const MESSAGE_DEADLINE_MS = 30_000;
/** For so long another way is looked for, for a circuit that lasts. */
export const REOPEN_MS = 10_000;

const NOTHING = new Uint8Array();
const WELL = create(StatusSchema, { code: Code.Ok });

type FrameInit = MessageInitShape<typeof FrameSchemaType>['frame'];

export function frame(init: FrameInit): Frame {
  return create(FrameSchema, { frame: init });
}

/** The reply to a request, in few steps: of all frames most are messages. */
export function replyFrame(
  { from, proto, msgid, hopLimit }: Message,
  body: Uint8Array,
  { failure, requestId }: { failure: RpcError | undefined; requestId: string },
): Frame {
  const inHead = body.length <= HEAD_BYTES;
  const value: Message = {
    ...{
      $typeName: 'odonata.syslink.v1.Message',
      proto,
      msgid,
      reply: true,
      hopLimit,
      deadlineMs: 0,
      requestId,
    },
    head: inHead ? body : NOTHING,
    bulk: inHead ? NOTHING : body,
    status: failure === undefined ? WELL : create(StatusSchema, statusInit(failure)),
  };
  if (from !== undefined) value.to = from;
  return { $typeName: 'odonata.syslink.v1.Frame', frame: { case: 'message', value } };
}

/** A request, likewise. */
export function requestFrame(
  request: Pick<Message, 'to' | 'proto' | 'msgid' | 'deadlineMs' | 'requestId' | 'trace'>,
  body: Uint8Array,
): Frame {
  const inHead = body.length <= HEAD_BYTES;
  const value: Message = {
    $typeName: 'odonata.syslink.v1.Message',
    ...request,
    reply: false,
    hopLimit: HOP_LIMIT,
    head: inHead ? body : NOTHING,
    bulk: inHead ? NOTHING : body,
  };
  return { $typeName: 'odonata.syslink.v1.Frame', frame: { case: 'message', value } };
}

/** What goes on a circuit, likewise. */
export function dataFrame(circuit: bigint, data: Uint8Array): Frame {
  const value: CircuitData = { $typeName: 'odonata.syslink.v1.CircuitData', circuit, data };
  return { $typeName: 'odonata.syslink.v1.Frame', frame: { case: 'circuitData', value } };
}

/** What a message on a circuit takes of the window: empty ones must not be free. */
export function circuitWeight(data: { readonly length: number }): number {
  return Math.max(64, data.length);
}

/** Bytes that a frame keeps in memory while it waits, roughly. */
export function frameBytes({ frame }: Frame): number {
  switch (frame.case) {
    case 'message':
      return 128 + frame.value.head.length + frame.value.bulk.length + statusBytes(frame.value.status);
    case 'circuitData':
      return 64 + bytesIn(frame.value);
    case 'circuitClose':
      return 64 + statusBytes(frame.value.status);
    case 'routeUpdate':
      return 64 + routesBytes(frame.value);
    default:
      return 64;
  }
}

function routesBytes({ update }: RouteUpdate): number {
  if (update.case !== 'routes') return 0;
  return update.value.targets.reduce((bytes, { statement, routes }) => {
    return bytes + 1_024 + (statement?.statement.length ?? 0) + 128 * routes.length;
  }, 0);
}

function statusBytes(status: Status | undefined): number {
  if (status === undefined) return 0;
  return status.details.reduce((bytes, { typeUrl, value }) => bytes + typeUrl.length + value.length, 0);
}

export function statusInit(error: RpcError | undefined): MessageInitShape<typeof StatusSchema> {
  if (error === undefined) return { code: Code.Ok };
  return { code: error.code, reason: error.details, details: packDetails(error.more) };
}

/** The error of a status; undefined for OK and for none. */
export function errorOf(status: Status | undefined): RpcError | undefined {
  if (status === undefined || status.code === Code.Ok) return undefined;
  return new RpcError(codeFromNumber(status.code), status.reason, { more: unpackDetails(status.details) });
}
