// The errors that say to a program which thing, which field or how long.
import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  BadRequestSchema,
  QuotaFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from '@odonata/proto/google/rpc/error_details';
import { Code, RpcError } from './error.ts';
import { isWireRefusal } from './wire-version.ts';

const RETRY_MS = 1_000;

/** What a NOT_FOUND can be about. */
export type ResourceType =
  | 'dataspace'
  | 'node'
  | 'token'
  | 'vmspace'
  | 'vkernel'
  | 'process'
  | 'endpoint'
  | 'directory'
  | 'program';

/** NOT_FOUND with a ResourceInfo. */
export function notFound(
  resource: { type: ResourceType; name: string | bigint },
  reason: string,
  options?: ErrorOptions,
): RpcError {
  const resourceName = String(resource.name).slice(0, 200);
  const detail = create(ResourceInfoSchema, {
    resourceType: resource.type,
    resourceName,
    description: reason,
  });
  return new RpcError(Code.NotFound, reason, { ...options, more: [detail] });
}

/** INVALID_ARGUMENT with a BadRequest. @param field as in the .proto file: `page_size`, `map.length_bytes`. */
export const invalidField = (field: string, reason: string, options?: ErrorOptions): RpcError =>
  badRequest(Code.InvalidArgument, field, reason, options);

/** ALREADY_EXISTS with a BadRequest: what is there differs from what was asked for in this field. */
export const existsOtherwise = (field: string, reason: string): RpcError =>
  badRequest(Code.AlreadyExists, field, reason);

function badRequest(code: Code, field: string, reason: string, options?: ErrorOptions): RpcError {
  const detail = create(BadRequestSchema, { fieldViolations: [{ field, description: reason }] });
  return new RpcError(code, reason, { ...options, more: [detail] });
}

/** RESOURCE_EXHAUSTED with a QuotaFailure: somebody has as many as they may. @param subject `user:alice` */
export function overQuota(subject: string, reason: string): RpcError {
  const detail = create(QuotaFailureSchema, { violations: [{ subject, description: reason }] });
  return new RpcError(Code.ResourceExhausted, reason, { more: [detail] });
}

/** An error that passes: the same call may succeed after so many milliseconds. */
export function tryAgain(
  code: typeof Code.Unavailable | typeof Code.ResourceExhausted,
  reason: string,
  options: ErrorOptions & { retryMs?: number } = {},
): RpcError {
  const { retryMs = RETRY_MS, ...rest } = options;
  const detail = create(RetryInfoSchema, { retryDelay: durationFromMs(retryMs) });
  return new RpcError(code, reason, { ...rest, more: [detail] });
}

/** True where somebody answered, and will have nothing to do with us: who we are, or which version we speak, does not do. */
export const isRefusal = (error: unknown): boolean =>
  isWireRefusal(error) ||
  RpcError.is(error, Code.Unauthenticated) ||
  RpcError.is(error, Code.PermissionDenied);
