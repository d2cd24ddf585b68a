// All clusters that lodge on the machine of this supervisor, as lodgers.json says.
import { NO_FILE } from '@odonata/rpc/file-stamp.ts';
import { writeShownLodgers } from '@odonata/rpc/lodging/shown.ts';
import { writeWanted } from '@odonata/rpc/lodging/wanted.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import { nodeFolders } from '../supervisor/service-spec.ts';
import type { Surroundings } from '../supervisor/supervised-service.ts';
import { type LodgerEntry, lodgersStamp, readLodgers } from './lodgers-file.ts';
import { SupervisedLodger } from './supervised-lodger.ts';

export interface SupervisedLodgersOptions {
  readonly plan: ClusterPlan;
  readonly around: Surroundings;
  /** Whether the pmap manager of one of its nodes runs. */
  readonly pmapdRuns: (node: string) => boolean;
  readonly log: Logger;
}

export class SupervisedLodgers {
  readonly #o: SupervisedLodgersOptions;
  readonly #byName = new Map<string, SupervisedLodger>();
  #entries: readonly LodgerEntry[] = [];
  #stamp: string = NO_FILE;
  #stopped = false;
  /** By node: what was written last. */
  readonly #wished = new Map<string, string>();
  readonly #shown = new Map<string, string>();

  constructor(options: SupervisedLodgersOptions) {
    this.#o = options;
  }

  /** Each second. */
  look(): void {
    if (this.#stopped) return;
    const { plan, log } = this.#o;
    try {
      const stamp = lodgersStamp(plan);
      if (stamp !== this.#stamp) {
        this.#entries = readLodgers(plan);
        this.#stamp = stamp;
      }
      this.#carryOut();
      this.#show();
    } catch (error) {
      log.error({ err: error }, 'cannot look after the clusters that lodge here: they stay as they are');
    }
  }

  /** @param service `NAME/vkerneld`, of the one that lodges as NAME. @returns false: it does not run */
  replace(service: string): boolean {
    const [name = '', what] = service.split('/');
    return what === 'vkerneld' && this.#byName.get(name)?.replaceVkerneld() === true;
  }

  /** Each ends in order; its cluster hears of it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.allSettled([...this.#byName.values()].map((lodger) => lodger.stop()));
  }

  #carryOut(): void {
    const { plan, around, pmapdRuns, log } = this.#o;
    for (const [name, lodger] of this.#byName) {
      if (this.#entries.some((each) => each.name === name)) continue;
      this.#byName.delete(name);
      void lodger.stop();
    }
    for (const entry of this.#entries) {
      let lodger = this.#byName.get(entry.name);
      if (lodger === undefined || (lodger.isOver && !entry.leaving)) {
        lodger = new SupervisedLodger(entry, {
          ...{ plan, around, pmapdRuns, log },
          changed: () => this.#wish(),
        });
        this.#byName.set(entry.name, lodger);
      }
      lodger.look(entry);
    }
  }

  #wish(): void {
    for (const { name } of this.#o.plan.nodes) {
      const wanted = [...this.#byName.values()]
        .filter(({ host }) => host === name)
        .flatMap((lodger) => lodger.wanted ?? []);
      const text = JSON.stringify(wanted);
      if (text === (this.#wished.get(name) ?? '[]')) continue;
      this.#wished.set(name, text);
      writeWanted(nodeFolders(this.#o.plan, name).socketDir, wanted);
    }
  }

  #show(): void {
    for (const { name } of this.#o.plan.nodes) {
      const shown = [...this.#byName.values()].filter(({ host }) => host === name).map((each) => each.shown);
      const text = JSON.stringify(shown);
      if (text === (this.#shown.get(name) ?? '[]')) continue;
      this.#shown.set(name, text);
      writeShownLodgers(nodeFolders(this.#o.plan, name).socketDir, shown);
    }
  }
}
