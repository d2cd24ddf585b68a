// The token that this process shows on one unix socket, made anew before it ends.
import type { TlsFolder } from './tls-folder.ts';
import { LIFE_MAX_MS, makeToken } from './token.ts';

const RENEW_MS = LIFE_MAX_MS / 2;

export class TokenSource {
  readonly #folder: TlsFolder;
  readonly #audience: readonly string[];
  #token = '';
  #madeMs = Number.NEGATIVE_INFINITY;
  #of: object | undefined;

  /** @param address of the server that it is for: `unix:/path` */
  constructor(folder: TlsFolder, address: string) {
    this.#folder = folder;
    this.#audience = [address];
  }

  get token(): string {
    const nowMs = Date.now();
    const { identity } = this.#folder;
    if (identity !== this.#of || nowMs - this.#madeMs > RENEW_MS || nowMs < this.#madeMs) {
      this.#token = makeToken(identity, { audience: this.#audience, nowMs, lifeMs: LIFE_MAX_MS });
      this.#madeMs = nowMs;
      this.#of = identity;
    }
    return this.#token;
  }
}
