// The policy of a gateway as its file says now: read again when a file of it changes, and on SIGHUP. One that is of no use leaves the
// one before in force, and says so.
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { type Policy, readPolicy, stampNow } from './policy.ts';

const LOOK_MS = 1_000;

export class PolicyFile {
  readonly #file: string;
  readonly #cluster: string;
  readonly #log: Logger;
  #policy: Policy;
  /** Of the files as they were when one of them was of no use. */
  #triedStamp = '';
  #timer: NodeJS.Timeout | undefined;
  #changed: (() => void) | undefined;
  /** Why what is in the file does not count. */
  trouble = '';

  /** @throws Error where there is no policy to begin with */
  constructor(file: string, cluster: string, log: Logger) {
    this.#file = file;
    this.#cluster = cluster;
    this.#log = log;
    this.#policy = readPolicy(file, cluster);
  }

  get policy(): Policy {
    return this.#policy;
  }

  /** @param changed another policy is in force */
  watch(changed: () => void): void {
    this.#changed = changed;
    this.#timer = setInterval(
      ownTurn({ timer: 'policy' }, () => this.look()),
      LOOK_MS,
    ).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  look(again = false): void {
    const stamp = stampNow(this.#file, this.#policy);
    if (!again && stamp === this.#policy.stamp) {
      // It was put back.
      this.trouble = '';
      return;
    }
    if (!again && stamp === this.#triedStamp) return;
    try {
      const policy = readPolicy(this.#file, this.#cluster);
      if (policy.listen !== this.#policy.listen)
        this.#log.warn({ listen: policy.listen }, 'another address to listen on counts after a new start');
      this.#policy = policy;
      this.trouble = '';
      this.#triedStamp = '';
      this.#log.info({ peers: [...policy.peers.keys()] }, 'another policy is in force');
    } catch (error) {
      this.#triedStamp = stamp;
      this.trouble = (error as Error).message;
      this.#log.error(
        { reason: this.trouble },
        'the policy in the file is of no use; the one before stays in force',
      );
      return;
    }
    this.#changed?.();
  }
}
