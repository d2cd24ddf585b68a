// The pmap manager of a cluster that lodges here, as its node's work sees it: a service that rests and works. It is a thread of
// another process, which hears of it by a file.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lodger, readLodgerStates } from '@odonata/rpc/lodging/wanted.ts';
import type { Resting } from '../supervisor/node-work.ts';

const LOOK_MS = 100;

export interface LodgerPmapdOptions {
  readonly lodger: string;
  readonly node: string;
  /** Of the pmap manager whose thread it is. */
  readonly socketDir: string;
  readonly args: readonly string[];
  readonly logFile: string;
  /** Whether that one runs: what is left of its words counts no more when it does not. */
  readonly runs: () => boolean;
  /** The wish has changed. */
  readonly changed: () => void;
}

export class LodgerPmapd implements Resting {
  readonly spec: { readonly name: string };
  readonly #o: LodgerPmapdOptions;
  #rest = false;
  framesBytes: number;

  constructor(options: LodgerPmapdOptions, framesBytes: number) {
    this.#o = options;
    this.spec = { name: `${options.node}/pmapd` };
    this.framesBytes = framesBytes;
  }

  get wanted(): Lodger {
    const { lodger: name, args, logFile } = this.#o;
    return { name, args: [...args], logFile, framesBytes: this.framesBytes, rest: this.#rest };
  }

  get state() {
    const { socketDir, lodger, runs } = this.#o;
    return runs() ? readLodgerStates(socketDir).find(({ name }) => name === lodger) : undefined;
  }

  async rest(graceMs: number): Promise<void> {
    this.#rest = true;
    this.#o.changed();
    const endMs = Date.now() + graceMs;
    while (Date.now() < endMs) {
      const { state = 'stopped' } = this.state ?? {};
      if (state === 'stopped') return;
      await sleep(LOOK_MS);
    }
  }

  work(): void {
    this.#rest = false;
    this.#o.changed();
  }
}
