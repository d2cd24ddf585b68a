// All clusters that lodge on the machine of this pmap manager, as its supervisor wishes.
import { guarded } from '@odonata/rpc/bug.ts';
import { NO_FILE } from '@odonata/rpc/file-stamp.ts';
import type { StopHow } from '@odonata/rpc/lifecycle.ts';
import {
  LODGERS_MAX,
  type Lodger,
  readLodgerStates,
  readWanted,
  wantedStamp,
  writeLodgerStates,
} from '@odonata/rpc/lodging/wanted.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { FramePool } from '../frames/frame-pool.ts';
import { LodgerThread } from './lodger-thread.ts';

const HEAP_MB = 2_048;
const LOOK_MS = 500;
/** They stand by within this, or are not waited for. */
const STAND_BY_MS = 8_000;

export interface LodgersOptions {
  readonly socketDir: string;
  /** What a thread runs. */
  readonly program: string;
  /** Of V8, for the objects of each; 2048 unless given. */
  readonly heapMb?: number;
  readonly log: Logger;
}

export class Lodgers {
  readonly #o: LodgersOptions;
  readonly #threads = new Map<string, LodgerThread>();
  /** Nobody wants them any more, and their frames are counted until they are gone. */
  readonly #ending = new Set<LodgerThread>();
  #pool: FramePool | undefined;
  #stamp: string = NO_FILE;
  #timer: NodeJS.Timeout | undefined;
  #said = '[]';
  #stopping = false;

  constructor(options: LodgersOptions) {
    this.#o = options;
  }

  /** Once it is known what the machine has. */
  start(pool: FramePool): void {
    this.#pool = pool;
    // Of an earlier life.
    if (readLodgerStates(this.#o.socketDir).length > 0) writeLodgerStates(this.#o.socketDir, []);
    const look = guarded(this.#o.log, { timer: 'lodgers' }, () => this.#look());
    look();
    this.#timer = setInterval(look, LOOK_MS);
    this.#timer.unref();
  }

  /** Resolves when each of them is up, or stands by: then this process may take the place of another one. */
  async standingBy(): Promise<void> {
    const all = Promise.all([...this.#threads.values()].map(({ heard }) => heard));
    await Promise.race([all, new Promise((resolve) => setTimeout(resolve, STAND_BY_MS).unref())]);
  }

  /** Each hands over to its successor, or to its other nodes; or ends at once. */
  async stop({ atOnce }: StopHow): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping = true;
    const signal = atOnce ? 'SIGINT' : 'SIGTERM';
    await Promise.all([...this.#threads.values()].map((thread) => thread.stop(signal)));
  }

  #look(): void {
    const stamp = wantedStamp(this.#o.socketDir);
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#carryOut(stamp === NO_FILE ? [] : readWanted(this.#o.socketDir));
    }
    this.#tell();
  }

  #carryOut(wanted: readonly Lodger[]): void {
    for (const [name, thread] of this.#threads) {
      if (wanted.some((each) => each.name === name)) continue;
      this.#threads.delete(name);
      this.#ending.add(thread);
      void thread.stop('SIGINT').then(() => this.#ending.delete(thread));
    }
    for (const each of wanted) {
      const thread = this.#threads.get(each.name);
      if (thread !== undefined) thread.want(each);
      else if (!each.rest) this.#begin(each);
    }
  }

  #begin(wanted: Lodger): void {
    const { program, heapMb = HEAP_MB, log } = this.#o;
    const taken = new Set([...this.#threads.values(), ...this.#ending].map(({ slot }) => slot));
    const slot = Array.from({ length: LODGERS_MAX }, (_, at) => at + 1).find((each) => !taken.has(each));
    if (slot === undefined) {
      log.error({ lodger: wanted.name }, 'too many clusters lodge here');
      return;
    }
    const thread = new LodgerThread(wanted, {
      ...{ program, heapMb, pool: this.#pool!, slot, log },
      changed: () => this.#tell(),
    });
    this.#threads.set(wanted.name, thread);
    thread.start();
  }

  #tell(): void {
    const states = [...this.#threads.values()].map(({ state }) => state);
    const said = JSON.stringify(states);
    // Who takes the place of this one tells from then on.
    if (said === this.#said || this.#stopping) return;
    this.#said = said;
    writeLodgerStates(this.#o.socketDir, states);
  }
}
