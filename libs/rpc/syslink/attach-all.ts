import { Backoff, delay } from '../backoff.ts';
import type { RpcError } from '../error.ts';
import { isWireRefusal } from '../wire-version.ts';
import type { Attaching } from './attaching.ts';
import { REGISTER_MS } from './attaching.ts';
import type { Line } from './line.ts';

const BACKOFF = { firstMs: 50, maxMs: 1_000 };
/** The first failures are a normal start in any order; say it when it lasts. */
const QUIET_FAILURES = 5;
/** A refusal of this wire version is said again after so many attempts, about a minute. */
const REFUSED_AGAIN = 80;

/**
 * A service: attached to every router, so that whoever is attached to one of them reaches it. A line to a router that is
 * not found any more stays until it breaks: that router drains.
 */
export async function attachToAll(attaching: Attaching): Promise<void> {
  const { routers, lookUpMs, closing, failed, log } = attaching;
  const backoff = new Backoff(BACKOFF);
  const kept = new KeptRouters(attaching);
  while (!closing.aborted) {
    try {
      kept.keep(await routers());
      if (lookUpMs === 0) return;
      backoff.reset();
      await delay(lookUpMs, closing);
    } catch (error) {
      failed(error);
      const level = backoff.attempts === QUIET_FAILURES ? 'warn' : 'debug';
      log[level]({ err: error }, 'the syslink routers cannot be found; trying on');
      await delay(backoff.nextDelayMs(), closing);
    }
  }
}

class KeptRouters {
  readonly #attaching: Attaching;
  #listed = new Set<string>();
  /** Addresses that are attached to, or tried. */
  readonly #kept = new Set<string>();
  /** The last line to each router, by its number. */
  readonly #lines = new Map<number, Line>();

  constructor(attaching: Attaching) {
    this.#attaching = attaching;
  }

  /** From now on these are the routers. */
  keep(addresses: readonly string[]): void {
    this.#listed = new Set(addresses);
    for (const address of addresses) {
      if (this.#kept.has(address)) continue;
      this.#kept.add(address);
      this.#attached(address)
        .catch((error) => this.#attaching.log.fatal({ err: error }, 'bug in the syslink endpoint'))
        .finally(() => this.#kept.delete(address));
    }
  }

  async #attached(address: string): Promise<void> {
    const { open, adopt, closing, log } = this.#attaching;
    const backoff = new Backoff(BACKOFF);
    while (!closing.aborted && this.#listed.has(address)) {
      const line = open(address, REGISTER_MS);
      const registered = await line.registered;
      if (registered) {
        this.#lines.set(line.router, line);
        adopt(line);
        backoff.reset();
      }
      const failure = await line.over;
      if (closing.aborted) return;
      const level = isWorthALine(failure, backoff.attempts) ? 'warn' : 'debug';
      log[level]({ reason: failure.message, address }, 'no line to a syslink router; trying on');
      if (registered) await this.#standBy(line);
      await delay(backoff.nextDelayMs(), closing);
    }
  }

  /** A router keeps one line of an endpoint. Where two addresses lead to one, the second took the place of the first. */
  async #standBy({ router }: Line): Promise<void> {
    const last = this.#lines.get(router);
    await last?.over;
    if (this.#lines.get(router) === last) this.#lines.delete(router);
  }
}

/** What no wait mends is said at once, and now and then. */
const isWorthALine = (failure: RpcError, attempts: number): boolean =>
  isWireRefusal(failure) ? attempts % REFUSED_AGAIN === 0 : attempts === QUIET_FAILURES;
