/** Where a virtual kernel reads its settings: a descriptor, and not its environment, which others can read. */
export const SETTINGS_FD = 3;

/** What stands in there, as JSON. */
export interface Settings {
  /** The seccomp filter for what follows, base64; empty: none. */
  readonly filter: string;
  /** Refused calls go to the audit log. */
  readonly logs: boolean;
  readonly environment: Readonly<Record<string, string>>;
}
