// The policy of a gateway as its file says now: read again when a file of it changes, and on SIGHUP. One that is of no use leaves the
// one before in force, and says so.
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { type FilesRead, isAsRead, type Policy, readPolicy } from './policy.ts';
import { policyChanges } from './policy-changes.ts';

const LOOK_MS = 1_000;

export class PolicyFile {
  readonly #file: string;
  readonly #cluster: string;
  readonly #log: Logger;
  #policy: Policy;
  /** By the last try, whatever came of it. */
  #read: FilesRead = new Map();
  #timer: NodeJS.Timeout | undefined;
  #changed: ((what: string[]) => void) | undefined;
  /** Why what is in the file does not count. */
  trouble = '';

  /** @throws Error where there is no policy to begin with */
  constructor(file: string, cluster: string, log: Logger) {
    this.#file = file;
    this.#cluster = cluster;
    this.#log = log;
    this.#policy = readPolicy(file, cluster, this.#read);
  }

  get policy(): Policy {
    return this.#policy;
  }

  /** @param changed another policy is in force, and what differs */
  watch(changed: (what: string[]) => void): void {
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
    if (!again && isAsRead(this.#read)) return;
    this.#read = new Map();
    const before = this.#policy;
    try {
      const policy = readPolicy(this.#file, this.#cluster, this.#read);
      if (policy.listen !== this.#policy.listen)
        this.#log.warn({ listen: policy.listen }, 'another address to listen on counts after a new start');
      this.#policy = policy;
      this.trouble = '';
      this.#log.info({ peers: [...policy.peers.keys()] }, 'another policy is in force');
    } catch (error) {
      this.trouble = (error as Error).message;
      this.#log.error(
        { reason: this.trouble },
        'the policy in the file is of no use; the one before stays in force',
      );
      return;
    }
    this.#changed?.(policyChanges(before, this.#policy));
  }
}
