// The door of a cluster, as commands ask it.
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { Failure } from '../failure.ts';

/** A router has nobody of that name: the cluster has no door. */
export const isDoorless = (error: unknown): boolean =>
  RpcError.is(error) &&
  error.code === Code.NotFound &&
  /"?door"?/.test(error.details) &&
  !/^no (node|token) /.test(error.details);

/** A door that is started anew is back within moments. */
const BACK_MS = 5_000;
const AGAIN_MS = 200;

/** The router has not handed it on: nothing was done. */
export const isNotConnected = (error: unknown): boolean =>
  RpcError.is(error, Code.Unavailable) && error.details.includes('door is not connected');

/** What the door answers, also one that is just started anew. */
export async function overRestart<T>(ask: () => Promise<T>): Promise<T> {
  const endMs = Date.now() + BACK_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isNotConnected(error) || Date.now() > endMs) throw error;
    }
    await delay(AGAIN_MS);
  }
}

export interface NoDoor {
  readonly what: string;
  readonly fix: string;
}

const NO_JOIN: NoDoor = {
  what: 'no machine can join this cluster: it was started for its own machine alone',
  fix: 'Start it with: vkctl up --address HOST',
};
export const NO_DRAIN: NoDoor = {
  what: 'nodes of this cluster cannot be drained: it was started for its own machine alone, and all of them rest with it',
  fix: 'To stop all of it: vkctl down. A cluster started with "vkctl up --address HOST" has its admins and operators drain nodes.',
};

/** What the door answers. @throws Failure where the cluster has none */
export async function withDoor<T>(ask: () => Promise<T>, { what, fix } = NO_JOIN): Promise<T> {
  try {
    return await overRestart(ask);
  } catch (error) {
    if (!isDoorless(error)) throw error;
    throw new Failure(what, { fix, cause: error });
  }
}
