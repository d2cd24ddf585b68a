// What went wrong at JetStream, as an error of ours: a server that does not answer is another thing than one that
// answers that it has no room.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import { ErrorCode, NatsError } from 'nats';
import type { StoreDisk } from './store-disk.ts';

/**
 * SILENT: no answer. OFF: the server is there, and its JetStream is not. UNREADY: servers are electing. NO_SPACE: a limit,
 * or the disk. REFUSED: any other answer.
 */
export type Trouble = 'SILENT' | 'OFF' | 'UNREADY' | 'NO_SPACE' | 'REFUSED';

/** Error codes of JetStream: https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const OFF = new Set([10039, 10076]);
const UNREADY = new Set([10004, 10008, 10009, 10118]);
const NO_SPACE = new Set([10002, 10023, 10028, 10047, 10120, 10121]);
const NO_PEERS = 10005;
const STORE_FAILED = new Set([10049, 10077]);

/** The number of an answer that is an error. */
export function apiCode(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}

export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof NatsError)) return 'SILENT';
  if (error.isPermissionError()) return 'REFUSED';
  const { api_error: answer } = error;
  // An answer carries a code of HTTP, too, which may be that of no responders.
  if (answer === undefined) return error.code === ErrorCode.NoResponders ? 'OFF' : 'SILENT';
  const { err_code: code = 0, description = '' } = answer;
  if (NO_SPACE.has(code) || /no space left/i.test(description)) return 'NO_SPACE';
  if (STORE_FAILED.has(code) && /maximum bytes/i.test(description)) return 'NO_SPACE';
  if (code === NO_PEERS) return /storage|resources/i.test(description) ? 'NO_SPACE' : 'UNREADY';
  if (OFF.has(code)) return 'OFF';
  return UNREADY.has(code) || answer.code === 503 ? 'UNREADY' : 'REFUSED';
}

/** @param what does not do what was asked: "the backing store" */
export function jetStreamError(error: unknown, what: string, disk?: StoreDisk): RpcError {
  if (error instanceof RpcError) return error;
  if (disk?.isFull) return disk.fullError(what, error);
  const why = error instanceof NatsError ? (error.api_error?.description ?? error.message) : String(error);
  const cause = { cause: error };
  switch (troubleOf(error)) {
    case 'SILENT':
      return tryAgain(
        Code.Unavailable,
        `${what} does not answer (${why}); try again when the NATS server with JetStream is back`,
        cause,
      );
    case 'OFF':
      return tryAgain(
        Code.Unavailable,
        `${what} is off: the NATS server answers without JetStream; run it with -js, or, where its disk was full, free some and start it again`,
        cause,
      );
    case 'UNREADY':
      return tryAgain(Code.Unavailable, `${what} is not ready (${why}); try again`, cause);
    case 'NO_SPACE':
      return tryAgain(
        Code.ResourceExhausted,
        `${what} has no room left in NATS (${why}); remove durable dataspaces, or give it more: vkctl up --store, pmapd --store-bytes, max_file_store of nats-server`,
        cause,
      );
    case 'REFUSED':
      return new RpcError(
        Code.FailedPrecondition,
        `${what}: NATS refuses (${[why, apiCode(error)].filter(Boolean).join(', ')})`,
        cause,
      );
  }
}
