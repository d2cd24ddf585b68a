// What an error tells a program beside its code and its line: messages of google.rpc, in a trailer of gRPC that
// grpcurl and other languages' clients know. https://google.aip.dev/193
import type { Message } from '@bufbuild/protobuf';
import { create, createRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import * as google from '@odonata/proto/google/rpc/error_details';
import { StatusSchema } from '@odonata/proto/google/rpc/status';

export type ErrorDetail =
  | google.BadRequest
  | google.ResourceInfo
  | google.RetryInfo
  | google.QuotaFailure
  | google.PreconditionFailure
  | google.ErrorInfo
  | google.RequestInfo
  | google.DebugInfo
  | google.Help
  | google.LocalizedMessage;

/** The trailer that carries a google.rpc.Status. */
export const DETAILS_KEY = 'grpc-status-details-bin';
/** HTTP/2 headers are small (16 KiB for all of them, at many ends); details that are larger are left out. */
export const DETAILS_BYTES = 4096;

const KNOWN = createRegistry(
  google.BadRequestSchema,
  google.ResourceInfoSchema,
  google.RetryInfoSchema,
  google.QuotaFailureSchema,
  google.PreconditionFailureSchema,
  google.ErrorInfoSchema,
  google.RequestInfoSchema,
  google.DebugInfoSchema,
  google.HelpSchema,
  google.LocalizedMessageSchema,
);

/** In the order given, up to the bound. */
export function packDetails(details: readonly ErrorDetail[]): Any[] {
  let bytes = 0;
  return details
    .map((detail) => anyPack(KNOWN.getMessage(detail.$typeName)!, detail as Message))
    .filter(({ value, typeUrl }) => {
      bytes += typeUrl.length + value.length;
      return bytes <= DETAILS_BYTES;
    });
}

/** Those of known types; a broken or unknown one never hides the error that it came with. */
export function unpackDetails(packed: readonly Any[]): ErrorDetail[] {
  return packed.flatMap((any) => {
    try {
      return (anyUnpack(any, KNOWN) as ErrorDetail | undefined) ?? [];
    } catch {
      return [];
    }
  });
}

export function statusBytes(code: number, message: string, details: readonly ErrorDetail[]): Buffer {
  const text = message.slice(0, DETAILS_BYTES);
  const status = create(StatusSchema, { code, message: text, details: packDetails(details) });
  return Buffer.from(toBinary(StatusSchema, status));
}

export function detailsOfStatus(bytes: Uint8Array): ErrorDetail[] {
  try {
    return unpackDetails(fromBinary(StatusSchema, bytes).details);
  } catch {
    return [];
  }
}
