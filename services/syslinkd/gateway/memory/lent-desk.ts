// Range locks, waits and barriers of dataspaces that other clusters map, as libs/coherency/desk/home-desk.ts decides: time and lines are here.
import { randomBytes } from 'node:crypto';
import { fromHomeWire, toHomeFrom } from '@odonata/coherency/desk/desk-wire.ts';
import { type AskingNode, HomeDesk, type HomeDeskAction } from '@odonata/coherency/desk/home-desk.ts';
import { gatewayOwner } from '@odonata/coherency/desk/owners.ts';
import type { Directories } from '@odonata/pmap/wire/directories.ts';
import type { DeskWords } from '@odonata/proto/coherency/v1/coherency';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { LineEvent } from './holder.ts';
import type { Words } from './words.ts';

export interface LentDeskOptions {
  readonly shards: number;
  /** Of this start of the gateway. */
  readonly life: bigint;
  /** What a cluster may do with a dataspace. */
  readonly may: (of: AskingNode) => 'NOTHING' | 'READ' | 'WRITE';
  /** To a cluster, while its line is up. */
  readonly words: (cluster: string) => Words | undefined;
  /** Of this cluster. */
  readonly directories: () => Directories;
}

export class LentDesk {
  private readonly o: LentDeskOptions;
  private readonly machine: HomeDesk;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: LentDeskOptions) {
    this.o = options;
    const mint = (): bigint => gatewayOwner(randomBytes(8).readBigUInt64LE());
    this.machine = new HomeDesk({ shards: options.shards, life: options.life, mint });
  }

  /** @param leftMs for which the own directory believes this gateway */
  heard(from: AskingNode, words: DeskWords, leftMs: number): void {
    const nowMs = monotonicMs();
    this.carryOut(this.machine.heard(from, toHomeFrom(words), { may: this.o.may(from), leftMs, nowMs }));
  }

  line(event: LineEvent): void {
    this.carryOut(this.machine.line(event, monotonicMs()));
  }

  policyChanged(): void {
    this.carryOut(this.machine.policyChanged(this.o.may, monotonicMs()));
  }

  close(): void {
    clearTimeout(this.timer);
  }

  private carryOut(actions: readonly HomeDeskAction[]): void {
    for (const action of actions) this.perform(action);
    clearTimeout(this.timer);
    const { nextMs } = this.machine;
    if (!Number.isFinite(nextMs)) return;
    this.timer = setTimeout(
      ownTurn({ timer: 'locks of other clusters' }, () => this.carryOut(this.machine.tick(monotonicMs()))),
      Math.max(1, nextMs - monotonicMs() + 1),
    );
  }

  private perform(action: HomeDeskAction): void {
    const directories = this.o.directories();
    switch (action.type) {
      case 'say':
        directories.sendTo(action.shard, action.event);
        return;
      case 'say-all':
        directories.sendAll(action.event);
        return;
      case 'send': {
        const { cluster, dataspace, node } = action.to;
        const letter = { dataspace, node, words: fromHomeWire(action.message) };
        this.o.words(cluster)?.desk('deskAnswered', letter);
      }
    }
  }
}
