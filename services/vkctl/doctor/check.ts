/** One thing that a machine must have. */
export interface Check {
  name: string;
  ok: boolean;
  /** What was found. */
  detail: string;
  /** How to mend it; with every check that failed. */
  fix?: string;
}
