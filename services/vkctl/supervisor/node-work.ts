// A node under supervision: its two services, which rest and work together.
/** pmapd hands its pages over for 10 s at most, and has some to end. */
export const DRAIN_MS = 20_000;

export type NodeState = 'ready' | 'draining' | 'drained';

/** What a node consists of. */
export interface Resting {
  readonly spec: { readonly name: string };
  /** Has it hand over what it can, and end until it is to work again. */
  rest(graceMs: number): Promise<void>;
  work(): void;
}

export class NodeWork {
  readonly #services: readonly Resting[];
  #state: NodeState = 'ready';
  #change: Promise<void> = Promise.resolve();
  #wanted = false;

  constructor(services: readonly Resting[]) {
    this.#services = services;
  }

  get state(): NodeState {
    return this.#state;
  }

  /** Has it hand over what it has, and rest; or work. The same again changes nothing. */
  want(rest: boolean): void {
    if (rest === this.#wanted) return;
    this.#wanted = rest;
    this.#change = this.#change.then(() => this.#turn());
  }

  async #turn(): Promise<void> {
    if (this.#wanted && this.#state === 'ready') {
      this.#state = 'draining';
      // Programs first: pages that they use would come back.
      for (const kind of ['vkerneld', 'pmapd'])
        await Promise.all(this.#of(kind).map((service) => service.rest(DRAIN_MS)));
      this.#state = 'drained';
    } else if (!this.#wanted && this.#state === 'drained') {
      for (const service of this.#services) service.work();
      this.#state = 'ready';
    }
  }

  #of(kind: string): Resting[] {
    return this.#services.filter(({ spec }) => spec.name.endsWith(`/${kind}`));
  }
}
