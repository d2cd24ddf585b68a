// On which node a program runs, where none is named: by what is known of each, as a pure choice.

export interface Candidate {
  readonly node: string;
  /** Those that run there, of anybody. */
  readonly processes: number;
  /** 0: not known, counted as one. */
  readonly cores: number;
  /** Frames that nobody has. */
  readonly freeBytes: number;
  /** Of the dataspace that the program is to be near. */
  readonly pages?: number;
  /** Processes that it is to be spread among: of its virtual kernel. */
  readonly kin?: number;
  /** Processes that it is to be apart from run there. */
  readonly isShunned?: boolean;
}

/**
 * In this order: apart from whom it is to be apart, with room for its memory (where any has), near its dataspace, where the fewest of
 * its kin are, the fewest processes a core, the most free memory (counted by doublings: a little more is no reason), the first.
 * Undefined: there is none that is apart.
 */
export function choosePlace<T extends Candidate>(all: readonly T[], memoryBytes: number): T | undefined {
  const allowed = all.filter(({ isShunned }) => !isShunned);
  const roomy = allowed.filter(({ freeBytes }) => freeBytes > 0 && freeBytes >= memoryBytes);
  return (roomy.length > 0 ? roomy : allowed).toSorted(
    (a, b) =>
      (b.pages ?? 0) - (a.pages ?? 0) ||
      (a.kin ?? 0) - (b.kin ?? 0) ||
      share(a) - share(b) ||
      doublings(b) - doublings(a),
  )[0];
}

const share = ({ processes, cores }: Candidate): number => processes / Math.max(cores, 1);
const doublings = ({ freeBytes }: Candidate): number => Math.floor(Math.log2(Math.max(freeBytes, 1)));
