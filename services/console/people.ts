// Who looks at the cluster: a watch for each person, shared by their windows, and closed with the last of them.
import type { Cluster } from '@odonata/client/cluster.ts';
import { delay } from '@odonata/rpc/backoff.ts';
import { nameOfRole } from '@odonata/rpc/identity/identity.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { Entrant } from './login.ts';
import { Watch } from './watch.ts';

/** Each asks all nodes once a second. */
const WATCHES_MAX = 16;
const AGAIN_MS = 2_000;

export interface PeopleOptions {
  readonly log: Logger;
  /** @throws RpcError where no router lets it in */
  readonly connect: (folder: TlsFolder | undefined) => Promise<Cluster>;
}

export class People {
  readonly #options: PeopleOptions;
  /** By certificate; how many sessions each has. */
  readonly #watches = new Map<string, { watch: Promise<Watch>; sessions: number }>();
  readonly #closing = new AbortController();
  #own: Watch | undefined;

  constructor(options: PeopleOptions) {
    this.#options = options;
  }

  /** The watch of somebody. @throws RpcError where the cluster does not let them in; undefined: too many people look */
  async enter(entrant: Entrant): Promise<Watch | undefined> {
    await this.#forgetRefused(entrant);
    const { folder } = entrant;
    const key = folder?.identity.certificate.fingerprint256 ?? '';
    const known = this.#watches.get(key);
    if (known !== undefined) {
      known.sessions++;
      entrant.forget();
      try {
        return await known.watch;
      } catch (error) {
        known.sessions--;
        throw error;
      }
    }
    if (this.#watches.size >= WATCHES_MAX) {
      entrant.forget();
      return undefined;
    }
    const { log, connect } = this.#options;
    const { who, role, forget } = entrant;
    const make = async () => {
      const cluster = await connect(folder);
      try {
        await cluster.nodes();
      } catch (error) {
        cluster.close();
        throw error;
      }
      return new Watch({ cluster, who, role, log, forget });
    };
    const entry = { watch: make(), sessions: 1 };
    this.#watches.set(key, entry);
    try {
      return await entry.watch;
    } catch (error) {
      this.#watches.delete(key);
      forget();
      throw error;
    }
  }

  /** Whoever was let out meanwhile is asked about anew, and not let in by what was found before. */
  async #forgetRefused({ folder }: Entrant): Promise<void> {
    const key = folder?.identity.certificate.fingerprint256 ?? '';
    const known = this.#watches.get(key);
    const watch = await known?.watch.catch(() => undefined);
    if (!watch?.refused || this.#watches.get(key) !== known) return;
    this.#watches.delete(key);
    watch.close();
  }

  /** Of a session that ended. */
  left(watch: Watch): void {
    for (const [key, entry] of this.#watches)
      void entry.watch
        .then((its) => {
          if (its !== watch || --entry.sessions > 0 || this.#watches.get(key) !== entry) return;
          this.#watches.delete(key);
          its.close();
        })
        .catch(() => {}); // Somebody else, who is not let in.
  }

  /** The console's own is there from the start, and stays. */
  async keepOwn(folder: TlsFolder | undefined): Promise<void> {
    const caller = folder?.identity.caller;
    const untilMs = Number.POSITIVE_INFINITY;
    while (!this.#closing.signal.aborted) {
      try {
        const who = caller?.name ?? 'anyone';
        const role = caller === undefined ? 'admin' : nameOfRole(caller.role);
        this.#own = await this.enter({ folder, who, role, untilMs, forget: () => {} });
        return;
      } catch (error) {
        this.#options.log.debug({ err: error }, 'no router lets the console in yet');
        await delay(AGAIN_MS, this.#closing.signal).catch(() => {});
      }
    }
  }

  notReady(hasIdentity: boolean): string | undefined {
    if (this.#own?.cluster.connected) return undefined;
    return hasIdentity ? 'no router answers' : 'no router answers without an identity';
  }

  close(): void {
    this.#closing.abort();
    for (const { watch } of this.#watches.values()) void watch.then((its) => its.close()).catch(() => {});
    this.#watches.clear();
  }
}
