// Carries out what libs/services decides for this node: looks at the records, changes them, runs instances, asks whether nodes are fenced.

import { delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { EventLog } from '@odonata/rpc/events.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { Keeper } from '@odonata/services/keeper.ts';
import type { KeeperAction, KeeperEvent } from '@odonata/services/keeper-messages.ts';
import { members } from '../relatives/lost-nodes.ts';
import type { RunPlace } from '../run.ts';
import type { WantedHere } from '../wanted/wanted-here.ts';
import { Instances } from './instances.ts';
import { Programs } from './programs.ts';
import { instanceOfVkernel, vkernelOf } from './service-vkernel.ts';
import type { ServiceStore } from './store.ts';

const TICK_MS = 250;
/** Of a node that has no part in any service. */
const IDLE_TICK_MS = 1_000;
/** Where there are services, and where there are none. */
const VIEW_MS = 500;
const IDLE_VIEW_MS = 2_000;

export class Keeping {
  readonly #keeper: Keeper;
  readonly #instances: Instances;
  readonly #place: RunPlace;
  readonly #store: ServiceStore;
  readonly #wanted: Pick<WantedHere, 'take'>;
  readonly #syslink: () => SyslinkEndpoint | undefined;
  readonly #events: EventLog;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = 0;
  #closed = false;
  #viewing = false;
  #viewedMs = Number.NEGATIVE_INFINITY;
  #services = 0;
  readonly counts = { starts: 0, ends: 0, moves: 0 };

  constructor(options: {
    place: RunPlace;
    store: ServiceStore;
    /** Takes what nodes are told, which comes with the records of services. */
    wanted: Pick<WantedHere, 'take'>;
    syslink: () => SyslinkEndpoint | undefined;
    events: EventLog;
    log: Logger;
  }) {
    const { place } = options;
    this.#place = place;
    this.#store = options.store;
    this.#wanted = options.wanted;
    this.#syslink = options.syslink;
    this.#events = options.events;
    this.#log = options.log;
    this.#keeper = new Keeper(place.node, foundIn(place));
    this.#instances = new Instances({
      ...{ place, programs: new Programs(options.store), log: options.log },
      tell: (event) => this.#step(event),
    });
    this.#arm();
  }

  /** Of instances here, how many are in each state. */
  get states(): Map<string, number> {
    const states = new Map<string, number>();
    for (const { state } of this.#keeper.instances) states.set(state, (states.get(state) ?? 0) + 1);
    return states;
  }

  get holdsLease(): boolean {
    return this.#keeper.isHeld(monotonicMs());
  }

  /** Somebody changed something: it is looked at soon. */
  hurry(): void {
    this.#viewedMs = Number.NEGATIVE_INFINITY;
    if (this.#dueMs > monotonicMs() + TICK_MS) this.#arm(TICK_MS);
  }

  /** Ends what runs here, and says so: others may take it at once. */
  async leave(withinMs: number): Promise<void> {
    const endMs = monotonicMs() + withinMs;
    this.#step({ type: 'leave' });
    while (!this.#keeper.hasLeft && monotonicMs() < endMs) await delay(50);
    this.close();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#instances.close();
  }

  #arm(afterMs = this.#isIdle ? IDLE_TICK_MS : TICK_MS): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#dueMs = monotonicMs() + afterMs;
    const turn = ownTurn({ timer: 'services' }, () => {
      this.#arm(); // First: it goes on, whatever a tick meets.
      this.#tick();
    });
    this.#timer = setTimeout(turn, afterMs).unref();
  }

  get #isIdle(): boolean {
    return this.#services === 0 && this.#keeper.instances.length === 0 && !this.holdsLease;
  }

  #tick(): void {
    this.#step({ type: 'tick' });
    const everyMs = this.#services > 0 ? VIEW_MS : IDLE_VIEW_MS;
    if (this.#viewing || monotonicMs() - this.#viewedMs < everyMs) return;
    this.#viewing = true;
    this.#viewedMs = monotonicMs();
    void this.#view().finally(() => {
      this.#viewing = false;
    });
  }

  async #view(): Promise<void> {
    try {
      const { revision, entries, wanted } = await this.#store.list();
      this.#services = entries.filter(({ value }) => value.kind === 'service').length;
      this.#step({ type: 'view', revision, entries });
      await this.#wanted.take(revision, wanted);
    } catch (error) {
      this.#log.debug({ err: error }, 'the records of services are not to be had');
    }
  }

  #step(event: KeeperEvent): void {
    for (const action of this.#keeper.step(event, monotonicMs())) this.#perform(action);
  }

  #perform(action: KeeperAction): void {
    switch (action.do) {
      case 'swap':
        void this.#swap(action);
        return;
      case 'lease':
        this.#place.vkernels.holdUntil(action.untilMs);
        return;
      case 'start':
        this.#instances.start(action);
        return;
      case 'adopt':
        this.#instances.adopt(action);
        return;
      case 'stop': {
        const [, user = '', name = '', replica = ''] = action.key.split('/');
        const vkernel = { user, name: vkernelOf(name, Number(replica)) };
        this.#instances.stop(action.key, vkernel, action.graceMs, action.why);
        return;
      }
      case 'ask':
        void this.#ask(action);
        return;
      case 'tell':
        this.#tell(action);
        return;
    }
  }

  async #swap({ key, value, revision }: Extract<KeeperAction, { do: 'swap' }>): Promise<void> {
    let said: KeeperEvent;
    try {
      said = { type: 'stored', key, revision: await this.#store.swap(key, revision, value) };
    } catch (error) {
      const refused = RpcError.is(error, Code.Aborted);
      if (!refused) this.#log.debug({ err: error, key }, 'a record of services may not be stored');
      said = { type: refused ? 'refused' : 'doubted', key };
      this.hurry();
    }
    this.#step(said);
  }

  async #ask({ node, revision }: Extract<KeeperAction, { do: 'ask' }>): Promise<void> {
    const syslink = this.#syslink();
    if (syslink === undefined) return;
    try {
      const there = await members(syslink);
      if (!there.includes(node)) this.#step({ type: 'fenced', node, revision });
    } catch (error) {
      this.#log.debug({ err: error, node }, 'nobody says whether a node is fenced');
    }
  }

  #tell({ kind, key, text }: Extract<KeeperAction, { do: 'tell' }>): void {
    if (kind === 'instance-started') this.counts.starts += 1;
    if (kind === 'instance-ended') this.counts.ends += 1;
    if (kind === 'instance-moved') this.counts.moves += 1;
    const [, user = '', name = '', replica = ''] = key.split('/');
    const vkernel = name === '' ? undefined : `${user}/${vkernelOf(name, Number(replica))}`;
    this.#events.add(kind, text, vkernel === undefined ? {} : { vkernel });
  }
}

/** What an earlier life left running, by the pid of its first process. */
function foundIn({ vkernels, table }: RunPlace): Map<string, string> {
  const found = new Map<string, string>();
  for (const { record, key } of vkernels.list()) {
    const instance = instanceOfVkernel(record);
    if (instance === undefined) continue;
    const [first] = table
      .running(key)
      .map(({ pid }) => pid)
      .sort((a, b) => Number(a - b));
    found.set(instance, first === undefined ? '' : first.toString());
  }
  return found;
}
