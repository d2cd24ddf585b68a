/** One thing that a machine must have. */
export interface Check {
  name: string;
  ok: boolean;
  /** What was found. */
  detail: string;
  /** It goes without, less well: `detail` says what that means. `ok` is true. */
  warning?: true;
  /** How to mend it; with every check that failed or warns. */
  fix?: string;
}
