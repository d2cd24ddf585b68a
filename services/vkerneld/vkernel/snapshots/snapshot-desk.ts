// What the supervisor asks of a virtual kernel about snapshots: to hold a process, its module piece by piece, and to let it go on.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { SnapshotOrder, SnapshotToldSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { HELD_MS, type SnapshotPoint } from './snapshot-point.ts';

/** What one message carries of a module. */
const PIECE_BYTES = 1 << 20;
/** A message has no more. */
const NAME_CHARS = 256;

type Told = NonNullable<MessageInitShape<typeof SnapshotToldSchema>['what']>;

/** A process, as far as snapshots of it go. */
export interface SnapshotOf {
  readonly name: string;
  readonly vmspace: bigint;
  readonly module: Uint8Array;
  readonly point: SnapshotPoint;
}

export class SnapshotDesk {
  readonly #find: (pid: bigint) => SnapshotOf | string;
  readonly #tell: (pid: bigint, number: number, what: Told) => void;
  /** By pid: one at a time of each. */
  readonly #underWay = new Map<bigint, { readonly number: number; readonly of: SnapshotOf }>();

  /** @param find the process, or why there is no snapshot of it */
  constructor(
    find: (pid: bigint) => SnapshotOf | string,
    tell: (pid: bigint, number: number, what: Told) => void,
  ) {
    this.#find = find;
    this.#tell = tell;
  }

  order({ pid, number, what }: SnapshotOrder): void {
    if (what.case === 'wait') {
      this.#begin(pid, number);
      return;
    }
    const one = this.#underWay.get(pid);
    if (one?.number !== number) {
      this.#tell(pid, number, { case: 'refused', value: 'it is held no more' });
      return;
    }
    if (what.case === 'moduleFrom') {
      const value = Uint8Array.from(one.of.module.subarray(what.value, what.value + PIECE_BYTES));
      this.#tell(pid, number, { case: 'module', value });
    } else if (what.case === 'done') {
      this.#underWay.delete(pid);
      if (one.of.point.release()) this.#tell(pid, number, { case: 'released', value: {} });
      else this.#tell(pid, number, { case: 'refused', value: 'it was not held' });
    }
  }

  /** The process is over. */
  ended(pid: bigint): void {
    const one = this.#underWay.get(pid);
    this.#underWay.delete(pid);
    if (one !== undefined) this.#tell(pid, one.number, { case: 'refused', value: 'it ended' });
  }

  /** Whoever asked is gone: all go on. */
  onReattached(): void {
    for (const { of } of this.#underWay.values()) of.point.release();
    this.#underWay.clear();
  }

  #begin(pid: bigint, number: number): void {
    const of = this.#find(pid);
    if (typeof of === 'string') {
      this.#tell(pid, number, { case: 'refused', value: of });
      return;
    }
    const refused = (why: string): void => {
      this.#underWay.delete(pid);
      this.#tell(pid, number, { case: 'refused', value: why });
    };
    if (this.#underWay.has(pid)) {
      this.#tell(pid, number, { case: 'refused', value: 'a snapshot of it is being taken already' });
      return;
    }
    this.#underWay.set(pid, { number, of });
    const why = of.point.ask({
      held: ({ memoryPages, globals }) =>
        this.#tell(pid, number, {
          case: 'held',
          value: {
            ...{ vmspace: of.vmspace, memoryPages, globals: globals.map((each) => ({ ...each })) },
            ...{ moduleBytes: of.module.length, heldMs: HELD_MS, program: of.name.slice(0, NAME_CHARS) },
          },
        }),
      refused,
    });
    if (why !== undefined) refused(why);
  }
}
