// Hellos that were heard: one of an earlier session, or that is sent again, counts no more.
import type { GatewayHello } from '@odonata/proto/syslink/v1/syslink';
import { Code, RpcError } from '@odonata/rpc/error.ts';

const NONCES_MAX = 4_096;
const GATEWAYS_MAX = 1_024;

export class Greetings {
  /** By cluster and gateway. */
  readonly #last = new Map<string, { epoch: bigint; session: bigint }>();
  /** The oldest first. */
  readonly #nonces = new Set<string>();

  /** @throws RpcError ABORTED */
  expectNew({ cluster, gateway, epoch, session, nonce }: GatewayHello): void {
    const key = `${cluster}/${gateway}`;
    const last = this.#last.get(key);
    const said = `${cluster}/${Buffer.from(nonce).toString('hex')}`;
    if (this.#nonces.has(said)) throw stale(`a hello of ${key} that was heard before`);
    if (last !== undefined && (epoch < last.epoch || (epoch === last.epoch && session <= last.session)))
      throw stale(
        `a hello of an earlier session of ${key}: ${epoch}/${session}, and ${last.epoch}/${last.session} was there`,
      );
    if (this.#nonces.size >= NONCES_MAX) this.#nonces.delete(this.#nonces.values().next().value!);
    this.#nonces.add(said);
    if (this.#last.size >= GATEWAYS_MAX && last === undefined)
      this.#last.delete(this.#last.keys().next().value!);
    this.#last.set(key, { epoch, session });
  }
}

const stale = (what: string): RpcError => new RpcError(Code.Aborted, what);
