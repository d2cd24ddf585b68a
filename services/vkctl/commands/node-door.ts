// The door of a cluster, as commands ask it.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { Failure } from '../failure.ts';

/** A router has nobody of that name: the cluster has no door. */
export const isDoorless = (error: unknown): boolean =>
  RpcError.is(error) &&
  error.code === Code.NotFound &&
  /"?door"?/.test(error.details) &&
  !/^no (node|token) /.test(error.details);

/** What the door answers. @throws Failure where the cluster has none */
export async function withDoor<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (!isDoorless(error)) throw error;
    throw new Failure('no machine can join this cluster: it was started for its own machine alone', {
      fix: 'Start it with: vkctl up --address HOST',
      cause: error,
    });
  }
}
