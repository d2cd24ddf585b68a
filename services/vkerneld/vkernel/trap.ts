// What a trap of WebAssembly becomes: a signal, a reason, and the stack of the program.

export interface Trap {
  readonly signal: string;
  /** One line. */
  readonly reason: string;
  /** A line for each function of the program, innermost first. */
  readonly stack: string;
}

export const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSYS: 31,
};

/** The exit code that says a signal ended a process. */
export function exitCodeOfSignal(signal: string): number {
  return 128 + (signalNumbers[signal] ?? 9);
}

/** How V8 words its traps. */
const signals: readonly [RegExp, string][] = [
  [/^unreachable/, 'SIGABRT'],
  [/memory access out of bounds/, 'SIGSEGV'],
  [/(divide|remainder) by zero|divide result unrepresentable|float unrepresentable/, 'SIGFPE'],
];

/** The trap that an error is; undefined for one that is no doing of the program: a bug of the virtual kernel. */
export function trapOf(error: unknown): Trap | undefined {
  if (error instanceof WebAssembly.RuntimeError) {
    const signal = signals.find(([wording]) => wording.test(error.message))?.[1] ?? 'SIGTRAP';
    return { signal, reason: `trap: ${error.message}`, stack: programStack(error) };
  }
  if (error instanceof RangeError && /call stack/i.test(error.message)) {
    return { signal: 'SIGSEGV', reason: 'trap: stack overflow', stack: programStack(error) };
  }
  if (error instanceof WebAssembly.Exception) {
    return { signal: 'SIGABRT', reason: 'an exception that nothing caught', stack: programStack(error) };
  }
  return undefined;
}

/** All that helps to find a bug of the virtual kernel: for its log, not for the program's user. */
export function bugText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const reasonLengthMax = 600;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /[\u0000-\u001f\u007f-\u009f]+/g;

/** Fit for a person's terminal: names in a module can be anything, of any length. */
export function oneLine(text: string): string {
  // Cut first: what searches for space takes the square of its length.
  const line = text
    .slice(0, 4 * reasonLengthMax)
    .trim()
    .replace(/\s*\n\s*/g, ' | ')
    .replace(controls, '?');
  return line.length > reasonLengthMax ? `${line.slice(0, reasonLengthMax)}...` : line;
}

const frame = /^\s*at (?:(.*?) \()?wasm:\/\/[^ ]*?wasm-function\[(\d+)\]:(0x[0-9a-f]+)\)?$/;

/** `name (function 12 at 0x1f3)`, where the module has names, else `function 12 at 0x1f3`. */
export function programStack(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const lines: string[] = [];
  for (const line of stack.split('\n')) {
    const match = frame.exec(line);
    if (match === null) continue;
    const [, name, index, offset] = match;
    const where = `function ${index} at ${offset}`;
    // V8 puts the module's name, or its hash, before the function's.
    const plain = name?.replace(/^wasm:\/\/\S*\s*/, '');
    lines.push(oneLine(plain ? `${plain} (${where})` : where));
  }
  return lines.join('\n');
}
