import type { Line } from './line.ts';
import type { Resumptions } from './resumptions.ts';

/** What calls need of the lines to the routers. */
export interface Lines {
  /** The one that a new call takes, for all of its life. Throws UNAVAILABLE while there is none. */
  line(): Line;
  /** Those that may take what is new; none: there is no line. */
  all(): readonly Line[];
  /** Of circuits that this end opened. */
  readonly resumptions: Resumptions;
  /** Aborts when there will be no more. */
  readonly closing: AbortSignal;
  ready(options: { deadlineMs: number; signal?: AbortSignal }): Promise<void>;
}
