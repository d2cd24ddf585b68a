// How a terminal treats what is typed and written: termios, with Linux's numbers, of which C's header has the same.
// What is not here a terminal does not do: speeds, parity, flow control by Ctrl-S.

export const Input = { IGNCR: 0o200, ICRNL: 0o400, INLCR: 0o100, IUTF8: 0o40000 } as const;
export const Output = { OPOST: 0o1, ONLCR: 0o4 } as const;
export const Local = {
  ISIG: 0o1,
  ICANON: 0o2,
  ECHO: 0o10,
  ECHOE: 0o20,
  ECHOK: 0o40,
  ECHONL: 0o100,
  NOFLSH: 0o200,
  ECHOCTL: 0o1000,
  ECHOKE: 0o4000,
  IEXTEN: 0o100000,
} as const;

/** Places of control characters. */
export const At = {
  INTR: 0,
  QUIT: 1,
  ERASE: 2,
  KILL: 3,
  EOF: 4,
  MIN: 6,
  SUSP: 10,
  EOL: 11,
  REPRINT: 12,
  WERASE: 14,
  LNEXT: 15,
  EOL2: 16,
} as const;
export const CHARACTERS = 17;

export interface TerminalSettings {
  readonly input: number;
  readonly output: number;
  readonly local: number;
  /** CHARACTERS of them; 0: there is none. */
  readonly characters: Uint8Array;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

const allOf = (flags: Readonly<Record<string, number>>): number =>
  Object.values(flags).reduce((all, flag) => all | flag, 0);

/** As a login finds it on Linux, but for Ctrl-S. */
export const initialSettings: TerminalSettings = {
  input: Input.ICRNL | Input.IUTF8,
  output: allOf(Output),
  local: allOf(Local) & ~(Local.ECHONL | Local.NOFLSH),
  characters: Uint8Array.of(3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0),
};
