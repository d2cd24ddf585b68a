// Resolves names for programs. Node asks the resolver of the host on one of its few threads, on which files are read, too, and nobody
// can end that: a name whose server does not answer takes one for as long as the resolver likes. So a name is asked once at a time,
// however many programs wait for it, and few names at one time.
import { lookup } from 'node:dns/promises';
import { Code, RpcError } from '@odonata/rpc/error.ts';

/** Of four threads. */
const ASKED_MAX = 2;

export class NamesAsked {
  readonly #lookup: (name: string) => Promise<string>;
  readonly #asked = new Map<string, Promise<string>>();

  constructor(look: (name: string) => Promise<string> = async (name) => (await lookup(name)).address) {
    this.#lookup = look;
  }

  /** An address. @throws RpcError RESOURCE_EXHAUSTED while others are asked for; what the resolver says */
  addressOf(name: string): Promise<string> {
    const asked = this.#asked.get(name);
    if (asked !== undefined) return asked;
    if (this.#asked.size >= ASKED_MAX)
      return Promise.reject(
        new RpcError(Code.ResourceExhausted, `${ASKED_MAX} names are being resolved; try again`),
      );
    const asking = this.#lookup(name).finally(() => this.#asked.delete(name));
    this.#asked.set(name, asking);
    return asking;
  }
}
