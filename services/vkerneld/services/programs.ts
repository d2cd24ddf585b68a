// Programs of services by the SHA-256 of their bytes, with those that were used last at hand.
import { createHash } from 'node:crypto';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { PART_BYTES, type ServiceStore } from './store.ts';

const KEPT_BYTES = 64 * 1024 * 1024;

export class Programs {
  readonly #store: Pick<ServiceStore, 'getPart'>;
  readonly #kept = new Map<string, Uint8Array>();

  constructor(store: Pick<ServiceStore, 'getPart'>) {
    this.#store = store;
  }

  /** @throws RpcError; DATA_LOSS where its bytes are others */
  async get({ digest, bytes }: { digest: string; bytes: number }): Promise<Uint8Array> {
    const kept = this.#kept.get(digest);
    if (kept !== undefined) {
      this.#kept.delete(digest);
      this.#kept.set(digest, kept);
      return kept;
    }
    const parts: Uint8Array[] = [];
    for (let part = 0; part * PART_BYTES < bytes; part++) parts.push(await this.#store.getPart(digest, part));
    const module = Buffer.concat(parts);
    if (module.length !== bytes || createHash('sha256').update(module).digest('hex') !== digest)
      throw new RpcError(Code.DataLoss, `program ${digest} is spoilt: apply the service again`);
    this.#kept.set(digest, module);
    let sum = [...this.#kept.values()].reduce((all, { length }) => all + length, 0);
    for (const [oldest, { length }] of this.#kept) {
      if (sum <= KEPT_BYTES || oldest === digest) break;
      this.#kept.delete(oldest);
      sum -= length;
    }
    return module;
  }
}
