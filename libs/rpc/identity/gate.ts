// Finds out who calls a server: by the certificate of the connection, or by the token of the call where it came on a unix
// socket.
import type * as grpc from '@grpc/grpc-js';
import { callerOfCertificate, unauthenticated } from './caller-of-certificate.ts';
import { parsedCertificate } from './certificate.ts';
import { ANYONE, type Caller } from './identity.ts';
import type { TlsFolder } from './tls-folder.ts';
import { readToken } from './token.ts';

export const AUTHORIZATION_KEY = 'authorization';
const BEARER = 'Bearer ';
/** Tokens that were found right are remembered, so many. */
const KNOWN_LIMIT = 1_024;

export type Greeted = Pick<grpc.ServerUnaryCall<unknown, unknown>, 'getAuthContext' | 'metadata'>;

export class Gate {
  readonly #folder: TlsFolder | undefined;
  /** Addresses of the unix sockets that this process serves. */
  readonly #audiences = new Set<string>();
  readonly #known = new Map<string, { caller: Caller; untilMs: number; by: object }>();

  /** @param folder undefined: everybody may do everything */
  constructor(folder: TlsFolder | undefined) {
    this.#folder = folder;
  }

  get isOpen(): boolean {
    return this.#folder === undefined;
  }

  /** True where the certificate by which somebody came in counts no more. */
  isRevoked({ serial }: Caller): boolean {
    return serial !== undefined && this.#folder?.identity.revoked.has(serial) === true;
  }

  /** What is wrong with the files of the identity since they changed; undefined: nothing. */
  get trouble(): string | undefined {
    // A look at what is there, which finds that out.
    return this.#folder?.identity && this.#folder.trouble;
  }

  serves(address: string): void {
    this.#audiences.add(address);
  }

  /** @throws RpcError UNAUTHENTICATED */
  callerOf(call: Greeted): Caller {
    if (this.#folder === undefined) return ANYONE;
    const peer = call.getAuthContext()?.sslPeerCertificate;
    if (peer?.raw !== undefined)
      return callerOfCertificate(parsedCertificate(peer.raw), this.#folder.identity);
    const [authorization] = call.metadata.get(AUTHORIZATION_KEY);
    if (typeof authorization !== 'string' || !authorization.startsWith(BEARER))
      throw unauthenticated('no certificate, and no token in the metadata "authorization"');
    return this.#callerOfToken(authorization.slice(BEARER.length));
  }

  #callerOfToken(token: string): Caller {
    const nowMs = Date.now();
    const { identity } = this.#folder!;
    const known = this.#known.get(token);
    // What was revoked since, or is of another authority now, is looked at again.
    if (known !== undefined && known.by === identity && nowMs < known.untilMs) return known.caller;
    const read = readToken(token, identity, this.#audiences, nowMs);
    if (this.#known.size >= KNOWN_LIMIT) this.#known.clear();
    this.#known.set(token, { ...read, by: identity });
    return read.caller;
  }
}
