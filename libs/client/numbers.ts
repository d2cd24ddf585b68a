// Numbers that a program gives, which may be any of JavaScript's, as those of a pmap.
import { Code, RpcError } from '@odonata/rpc/error.ts';

const refused = (what: string, wanted: string, value: number | bigint): RpcError =>
  new RpcError(Code.InvalidArgument, `${what}: ${wanted}, not ${value}`);

/** @throws RpcError INVALID_ARGUMENT */
export function bytesOf(what: string, value: number | bigint): bigint {
  if ((typeof value === 'bigint' || Number.isSafeInteger(value)) && value >= 0) return BigInt(value);
  throw refused(what, 'a whole number of bytes from 0 on', value);
}

/** Of a range that is locked, which may begin below 0. @throws RpcError INVALID_ARGUMENT */
export function placeOf(what: string, value: number): bigint {
  if (Number.isSafeInteger(value)) return BigInt(value);
  throw refused(what, 'a whole number', value);
}

/** How many are woken. @throws RpcError INVALID_ARGUMENT */
export function countOf(what: string, value: number): number {
  if (Number.isInteger(value) && value >= 0) return Math.min(value, 0x7fff_ffff);
  throw refused(what, 'a whole number from 0 on', value);
}

/** In whole milliseconds, never less than were asked; -1: for ever. @throws RpcError INVALID_ARGUMENT */
export function timeoutOf(value: number | undefined): bigint {
  if (value === undefined || value === Number.POSITIVE_INFINITY) return -1n;
  if (value >= 0) return BigInt(Math.min(Math.ceil(value), Number.MAX_SAFE_INTEGER));
  throw refused('timeoutMs', 'milliseconds from 0 on', value);
}
