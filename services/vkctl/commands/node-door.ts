// The door of a cluster, as commands ask it.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { Failure } from '../failure.ts';

/** A router has nobody of that name: the cluster has no door. */
export const isDoorless = (error: unknown): boolean =>
  RpcError.is(error) &&
  error.code === Code.NotFound &&
  /"?door"?/.test(error.details) &&
  !/^no (node|token) /.test(error.details);

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
export async function withDoor<T>(asked: Promise<T>, { what, fix } = NO_JOIN): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (!isDoorless(error)) throw error;
    throw new Failure(what, { fix, cause: error });
  }
}
