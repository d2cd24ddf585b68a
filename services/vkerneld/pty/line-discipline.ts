// What becomes of what is typed at a terminal, as Linux's n_tty has it. Pure: bytes in, effects out.
//
//   typed --> signals, or --line mode--> a line that is edited and echoed --newline, end--> what a read gets, a line at once
//                          `--raw mode--> what a read gets, as it comes
//
// Each byte of what is typed may be erased (Backspace), with its word (Ctrl-W) or its line (Ctrl-U), quoted (Ctrl-V), and shown anew
// (Ctrl-R). A character of UTF-8 is erased whole, and counts as one column, as on Linux.

import { At, Input, Local, Output, type TerminalSettings } from './settings.ts';

/** A longer line loses what follows, but for its end. */
export const LINE_BYTES = 4_095;

export interface Effects {
  /** To whoever looks, as it is. */
  readonly echo: Uint8Array;
  /** To the program: a read gets no more than one of these. 'end': a read gets nothing, once. */
  readonly pieces: readonly (Uint8Array | 'end')[];
  /** To the foreground, in order. */
  readonly signals: readonly ('SIGINT' | 'SIGQUIT' | 'SIGTSTP')[];
  /** What was typed and not read before that is gone. */
  readonly flushes: boolean;
}

const [BACKSPACE, TAB, NEWLINE, RETURN, SPACE, CARET, DELETE] = [8, 9, 10, 13, 32, 94, 127];
const NONE = 0;

export class LineDiscipline {
  #settings: TerminalSettings;
  #line: number[] = [];
  /** The next one is taken as it is. */
  #quotes = false;
  /** Of the cursor, and of where the line began. */
  #column = 0;
  #lineColumn = 0;
  #echo: number[] = [];

  constructor(settings: TerminalSettings) {
    this.#settings = settings;
  }

  get settings(): TerminalSettings {
    return this.#settings;
  }

  /** @returns what was typed of a line that now is no line any more */
  change(settings: TerminalSettings): Uint8Array | undefined {
    this.#settings = settings;
    this.#quotes = false;
    if (this.#has(Local.ICANON) || this.#line.length === 0) return undefined;
    return this.#takeLine();
  }

  /** What a program wrote, as whoever looks gets it. */
  output(bytes: Uint8Array): Uint8Array {
    const shown: number[] = [];
    for (const byte of bytes) this.#put(byte, shown);
    return Uint8Array.from(shown);
  }

  input(bytes: Uint8Array): Effects {
    this.#echo = [];
    let pieces: (Uint8Array | 'end')[] = [];
    const signals: Effects['signals'][number][] = [];
    let flushes = false;
    let raw: number[] = [];
    for (const byte of bytes) {
      const signal = this.#quotes ? undefined : this.#signalOf(byte);
      if (signal !== undefined) {
        signals.push(signal);
        if (!this.#has(Local.NOFLSH)) {
          flushes = true;
          pieces = [];
          raw = [];
          this.#line = [];
          // What nobody saw yet, nobody sees.
          this.#echo = [];
        }
        if (this.#has(Local.ECHO)) this.#echoTyped(byte);
        continue;
      }
      const typed = this.#quotes ? byte : this.#translated(byte);
      if (typed === undefined) continue;
      if (this.#has(Local.ICANON)) this.#edit(typed, pieces);
      else {
        raw.push(typed);
        this.#quotes = false;
        if (this.#has(Local.ECHO)) {
          if (byte === RETURN && typed === NEWLINE) this.#show(NEWLINE);
          else this.#echoTyped(typed);
        }
      }
    }
    if (raw.length > 0) pieces.push(Uint8Array.from(raw));
    return { echo: Uint8Array.from(this.#echo), pieces, signals, flushes };
  }

  #has(flag: number): boolean {
    return (this.#settings.local & flag) !== 0;
  }

  #is(byte: number, place: number): boolean {
    const character = this.#settings.characters[place];
    return character !== NONE && character === byte;
  }

  #signalOf(byte: number): Effects['signals'][number] | undefined {
    if (!this.#has(Local.ISIG)) return undefined;
    if (this.#is(byte, At.INTR)) return 'SIGINT';
    if (this.#is(byte, At.QUIT)) return 'SIGQUIT';
    return this.#is(byte, At.SUSP) ? 'SIGTSTP' : undefined;
  }

  #translated(byte: number): number | undefined {
    const { input } = this.#settings;
    if (byte === RETURN) {
      if ((input & Input.IGNCR) !== 0) return undefined;
      if ((input & Input.ICRNL) !== 0) return NEWLINE;
    }
    return byte === NEWLINE && (input & Input.INLCR) !== 0 ? RETURN : byte;
  }

  #edit(byte: number, pieces: (Uint8Array | 'end')[]): void {
    if (this.#quotes) {
      this.#quotes = false;
      this.#keep(byte);
      return;
    }
    if (this.#is(byte, At.ERASE)) {
      this.#erase(false);
      return;
    }
    if (this.#is(byte, At.KILL)) {
      this.#kill(byte);
      return;
    }
    if (this.#has(Local.IEXTEN)) {
      if (this.#is(byte, At.WERASE)) {
        this.#eraseWord();
        return;
      }
      if (this.#is(byte, At.LNEXT)) {
        this.#quotes = true;
        if (this.#has(Local.ECHO) && this.#has(Local.ECHOCTL)) this.#show(CARET, BACKSPACE);
        return;
      }
      if (this.#is(byte, At.REPRINT) && this.#has(Local.ECHO)) {
        this.#reprint(byte);
        return;
      }
    }
    if (byte === NEWLINE) {
      if (this.#has(Local.ECHO) || this.#has(Local.ECHONL)) this.#show(NEWLINE);
      this.#line.push(NEWLINE);
      pieces.push(this.#takeLine());
      return;
    }
    if (this.#is(byte, At.EOF)) {
      pieces.push(this.#line.length === 0 ? 'end' : this.#takeLine());
      return;
    }
    if (this.#is(byte, At.EOL) || (this.#has(Local.IEXTEN) && this.#is(byte, At.EOL2))) {
      if (this.#has(Local.ECHO)) this.#echoTyped(byte);
      this.#line.push(byte);
      pieces.push(this.#takeLine());
      return;
    }
    this.#keep(byte);
  }

  #takeLine(): Uint8Array {
    const line = Uint8Array.from(this.#line);
    this.#line = [];
    return line;
  }

  #keep(byte: number): void {
    if (this.#line.length >= LINE_BYTES) return;
    if (this.#line.length === 0) this.#lineColumn = this.#column;
    this.#line.push(byte);
    if (this.#has(Local.ECHO)) this.#echoTyped(byte);
  }

  /** One character. @param isOfMany it is not the key that erases one. @returns false: there is none */
  #erase(isOfMany: boolean): boolean {
    const erased = this.#lastCharacter();
    if (erased === undefined) return false;
    this.#line.length -= erased.length;
    if (!this.#has(Local.ECHO)) return true;
    if (!isOfMany && !this.#has(Local.ECHOE)) this.#echoTyped(this.#settings.characters[At.ERASE]!);
    else this.#echoErased(erased);
    return true;
  }

  #lastCharacter(): number[] | undefined {
    if (this.#line.length === 0) return undefined;
    let begin = this.#line.length - 1;
    while (begin > 0 && this.#isContinued(this.#line[begin]!)) begin--;
    const character = this.#line.slice(begin);
    // As Linux has it: what no character begins is not erased.
    return this.#isContinued(character[0]!) ? undefined : character;
  }

  #echoErased(erased: readonly number[]): void {
    const [first] = erased as [number];
    if (first === TAB) {
      for (let n = this.#tabColumns(); n > 0; n--) {
        this.#echo.push(BACKSPACE);
        this.#column = Math.max(0, this.#column - 1);
      }
      return;
    }
    if (isControl(first) && !this.#has(Local.ECHOCTL)) return;
    if (isControl(first)) this.#show(BACKSPACE, SPACE, BACKSPACE);
    this.#show(BACKSPACE, SPACE, BACKSPACE);
  }

  #eraseWord(): void {
    let seen = false;
    for (;;) {
      const [first] = this.#lastCharacter() ?? [];
      if (first === undefined) return;
      if (isWordByte(first)) seen = true;
      else if (seen) return;
      this.#erase(true);
    }
  }

  #kill(byte: number): void {
    if (this.#line.length === 0) return;
    if (!this.#has(Local.ECHO)) {
      this.#line = [];
      return;
    }
    if (this.#has(Local.ECHOK) && this.#has(Local.ECHOKE) && this.#has(Local.ECHOE)) {
      while (this.#erase(true)) {}
      return;
    }
    this.#line = [];
    this.#echoTyped(byte);
    if (this.#has(Local.ECHOK)) this.#show(NEWLINE);
  }

  #reprint(byte: number): void {
    this.#echoTyped(byte);
    this.#show(NEWLINE);
    for (const each of this.#line) this.#echoTyped(each);
  }

  /** A control character as ^X, where that is wanted. */
  #echoTyped(byte: number): void {
    if (this.#has(Local.ECHOCTL) && isControl(byte) && byte !== TAB) {
      this.#echo.push(CARET, byte ^ 0x40);
      this.#column += 2;
    } else this.#show(byte);
  }

  #show(...bytes: number[]): void {
    for (const byte of bytes) this.#put(byte, this.#echo);
  }

  #put(byte: number, into: number[]): void {
    const { output } = this.#settings;
    const isProcessed = (output & Output.OPOST) !== 0;
    const returns = isProcessed && (output & Output.ONLCR) !== 0 && byte === NEWLINE;
    if (returns) into.push(RETURN);
    into.push(byte);
    if (!isProcessed) return;
    if (byte === RETURN || returns) this.#column = 0;
    else if (byte === BACKSPACE) this.#column = Math.max(0, this.#column - 1);
    else if (byte === TAB) this.#column = (Math.floor(this.#column / 8) + 1) * 8;
    else if (!isControl(byte) && !this.#isContinued(byte)) this.#column += 1;
    if (byte === RETURN || byte === NEWLINE) this.#lineColumn = this.#column;
  }

  /** Columns from where a tab at the end of the line began to where it led. */
  #tabColumns(): number {
    const last = this.#line.lastIndexOf(TAB);
    let column = last < 0 ? this.#lineColumn : 0;
    for (const byte of this.#line.slice(last + 1)) {
      if (isControl(byte)) column += this.#has(Local.ECHOCTL) ? 2 : 0;
      else if (!this.#isContinued(byte)) column += 1;
    }
    return 8 - (column % 8);
  }

  /** A byte of a character of UTF-8 that is not its first. */
  #isContinued(byte: number): boolean {
    return (this.#settings.input & Input.IUTF8) !== 0 && (byte & 0xc0) === 0x80;
  }
}

const isControl = (byte: number): boolean => byte < SPACE || byte === DELETE;
/** As Linux has it, of which this is Latin-1's. */
function isWordByte(byte: number): boolean {
  if (byte >= 0xc0) return byte !== 0xd7 && byte !== 0xf7;
  const letter = byte | 0x20;
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    (letter >= 0x61 && letter <= 0x7a && byte < 0x80) ||
    byte === 0x5f ||
    byte === 0xaa ||
    byte === 0xb5 ||
    byte === 0xba
  );
}
