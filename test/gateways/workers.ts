// Programs of both clusters that operate on one dataspace for as long as it takes, two on each side; one that ends begins anew, and
// what it sees then belongs to the same history.
import { delay } from '@odonata/rpc/backoff.ts';
import { HISTORY_OBJECTS } from './histories.ts';
import type { Side, TwoClusters } from './two-clusters.ts';

const OPERATIONS = 100;
const PAUSE_US = 20_000;
/** Of a page that is LOST nobody gets anything but an error, and a start costs a busy machine much. */
const RETRY_MS = 1_000;

interface Place {
  readonly side: Side;
  readonly node: string;
  readonly dataspace: string;
}

/** A program that did not end by itself. */
export interface BadEnd {
  readonly of: 'north' | 'south';
  readonly node: string;
  readonly said: string;
}

export interface WorkersOptions {
  readonly both: TwoClusters;
  /** As the north calls it. */
  readonly dataspace: string;
  /** For their histories; both clusters let programs use it. */
  readonly folder: string;
  readonly seed: number;
}

export class Workers {
  readonly badEnds: BadEnd[] = [];
  readonly #o: WorkersOptions;
  readonly #places: readonly Place[];
  #started = 0;

  constructor(options: WorkersOptions) {
    const { both, dataspace } = options;
    this.#o = options;
    const far = `${dataspace}@${both.north.name}`;
    this.#places = ['node1', 'node2'].flatMap((node) => [
      { side: both.north, node, dataspace },
      { side: both.south, node, dataspace: far },
    ]);
  }

  /** Until it is over, and each of them once more. */
  async run(isOver: () => boolean): Promise<void> {
    await Promise.all(
      this.#places.map(async (place) => {
        while (!isOver()) if (!(await this.#once(place, OPERATIONS))) await delay(RETRY_MS);
      }),
    );
    await Promise.all(this.#places.map((place) => this.#once(place, OPERATIONS / 5)));
  }

  /** @returns whether it ended by itself */
  async #once({ side, node, dataspace }: Place, operations: number): Promise<boolean> {
    const worker = ++this.#started;
    const { folder, seed, both } = this.#o;
    const file = `/history/${this.#o.dataspace}.${worker}`;
    const args = [
      dataspace,
      HISTORY_OBJECTS,
      operations,
      seed + worker,
      worker,
      file,
      '--pause-us',
      PAUSE_US,
    ];
    const dirs = [{ hostPath: folder, guestPath: '/history' }];
    const said = await side.cluster.run(node, 'history', args.map(String), { dirs }).then(
      ({ code, signal, reason, stderr }) => (code === 0 ? '' : `${signal} ${reason} ${stderr}`.trim()),
      (error: Error) => `no line: ${error.message}`,
    );
    if (said !== '') this.badEnds.push({ of: side === both.north ? 'north' : 'south', node, said });
    return said === '';
  }
}
