import { Backoff, delay } from '../backoff.ts';
import type { Attaching } from './attaching.ts';
import { REGISTER_MS } from './attaching.ts';
import type { Line } from './line.ts';
import { hasNames, resolveRouters } from './routers.ts';

/** How often names are looked up, for routers that come and go. */
const RESOLVE_MS = 5_000;
const BACKOFF = { firstMs: 50, maxMs: 1_000 };
/** The first failures are a normal start in any order; say it when it lasts. */
const QUIET_FAILURES = 5;

/**
 * A service: attached to every router, so that whoever is attached to one of them reaches it. A line whose router no name
 * stands for any more stays until it breaks: that router drains.
 */
export async function attachToAll(attaching: Attaching): Promise<void> {
  const { address, closing, failed, log } = attaching;
  const backoff = new Backoff(BACKOFF);
  const routers = new Routers(attaching);
  while (!closing.aborted) {
    try {
      routers.keep(await resolveRouters(address));
      if (!hasNames(address)) return;
      backoff.reset();
      await delay(RESOLVE_MS, closing);
    } catch (error) {
      failed(error);
      const level = backoff.attempts === QUIET_FAILURES ? 'warn' : 'debug';
      log[level]({ err: error, address }, 'the syslink routers cannot be found; trying on');
      await delay(backoff.nextDelayMs(), closing);
    }
  }
}

class Routers {
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
      const level = backoff.attempts === QUIET_FAILURES ? 'warn' : 'debug';
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
