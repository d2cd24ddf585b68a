import type { RpcError } from './error.ts';

/** In the place of a request that cannot be read or keeps no constraint: grpc would answer it with INTERNAL. */
export class Undecodable {
  readonly error: RpcError;

  constructor(error: RpcError) {
    this.error = error;
  }
}

/** Decodes a request, or says why it cannot. */
export function requestDecoder(decode: (bytes: Uint8Array) => unknown): (bytes: Uint8Array) => unknown {
  return (bytes) => {
    try {
      return decode(bytes);
    } catch (error) {
      return new Undecodable(error as RpcError);
    }
  };
}

/** @throws RpcError where it is none */
export function decoded<T>(request: T | Undecodable): T {
  if (request instanceof Undecodable) throw request.error;
  return request;
}
