// The guest's end of parking: how a thread leaves its program, which waits in a call, and how another one finds its way back into it.
//
// A program that is built for it (wasm/parkable.ts) can return from all of its functions, one after the other, and write what each of
// them had into its own memory; and it can be called anew, and go through the same functions to the same call. So when the main thread
// says so, the call returns nothing but that; what it would have answered the next thread is told when it comes to that call.
//
//   runs --(told to leave)--> leaves --(_start returned)--> parked .... another thread: returns --(the call again)--> runs
import type { SignalGate } from '../signal-state.ts';
import { Clockid } from '../wasi/abi.ts';
import { clockNs } from '../wasi/clock.ts';
import { exportOfGlobal, type KeptGlobal } from '../wasm/kept-globals.ts';
import {
  type KeptValue,
  Leave,
  PARK_AREA_WORDS,
  type ParkArea,
  type ParkedGuest,
  type ResumeGuest,
} from './parked-guest.ts';

/** Those in which it may leave, by module. What each does before it waits it can do twice. */
export const PARKABLE_CALLS: Readonly<Record<string, readonly string[]>> = {
  wasi_snapshot_preview1: ['poll_oneoff', 'fd_read'],
  odonata: ['lock', 'barrier', 'wait'],
};

interface Leaving extends Pick<ParkedGuest, 'area' | 'beganNs'> {
  readonly call: string;
}

type Exports = Record<string, unknown>;
type Call = (...args: never[]) => unknown;
export type Functions = Readonly<Record<string, Call>>;

export class GuestParking {
  readonly #gate: SignalGate;
  readonly #globals: readonly KeptGlobal[];
  readonly #memory: WebAssembly.Memory;
  /** Ends the program, for which there is a reason. */
  readonly #end: (reason: string) => never;
  #exports: Exports = {};
  #area: ParkArea | undefined;
  /** Where it leaves: the address of its stack, and when the call began. */
  #leaves: Leaving | undefined;
  #returns: ResumeGuest | undefined;
  /** In a call in which it may leave. */
  #mayLeave = false;
  #answer: ResumeGuest | undefined;
  /** When the call began that it is in, nanoseconds; by the clock's number. */
  #began: readonly bigint[] = [];

  constructor(
    gate: SignalGate,
    { globals, memory }: { globals: readonly KeptGlobal[]; memory: WebAssembly.Memory },
    end: (reason: string) => never,
  ) {
    this.#gate = gate;
    this.#globals = globals;
    this.#memory = memory;
    this.#end = end;
  }

  /** The program tells where it leaves its stack. */
  useArea(area: ParkArea): void {
    this.#area = area;
  }

  /** Whether the thread may be told to leave now. */
  get mayLeave(): boolean {
    return this.#mayLeave && this.#area !== undefined && !this.#gate.isHandling;
  }

  /** What the call was answered that it came back to, when it asks that again; once. */
  takeAnswer(asked: string): ResumeGuest['answer'] | undefined {
    if (this.#answer?.call !== asked) return undefined;
    const { answer } = this.#answer;
    this.#answer = undefined;
    return answer;
  }

  /** When the call began that it is in, as a clock showed. */
  beganNs(clock: number): bigint {
    return this.#began[clock] ?? clockNs(clock);
  }

  /** The imports of one module: in those that can be parked it leaves and comes back, and in no other. */
  wrap(module: string, functions: Functions): Functions {
    const parkable = PARKABLE_CALLS[module] ?? [];
    return Object.fromEntries(
      Object.entries(functions).map(([name, call]) => [
        name,
        parkable.includes(name)
          ? this.#parked(`${module}.${name}`, call)
          : this.#through(`${module}.${name}`, call),
      ]),
    );
  }

  /** Runs the program, from its beginning or from where it was parked. @returns what is to be kept of it where it left */
  run(
    exports: WebAssembly.Exports,
    resume: ResumeGuest | undefined,
    entry: () => void,
  ): ParkedGuest | undefined {
    this.#exports = exports;
    if (resume !== undefined) {
      for (const [i, { index }] of this.#globals.entries())
        this.#global(index).value = resume.parked.globals[i];
      this.#returns = resume;
      this.#area = resume.parked.area;
      this.#gate.hold();
      this.#call('asyncify_start_rewind', resume.parked.area.at);
    }
    try {
      entry();
      if (this.#leaves !== undefined) this.#call('asyncify_stop_unwind');
    } catch (error) {
      if (this.#leaves === undefined || !(error instanceof WebAssembly.RuntimeError)) throw error;
      this.#end(this.#whyNot(this.#leaves, error.message));
    }
    if (this.#leaves === undefined) return undefined;
    const globals = this.#globals.map(({ index }) => this.#global(index).value as KeptValue);
    const { area, beganNs } = this.#leaves;
    return { area, beganNs, globals, handler: this.#gate.handlerNumber };
  }

  /** Why it came to no end of leaving. */
  #whyNot({ area, call }: Leaving, trap: string): string {
    const words = new Int32Array(this.#memory.buffer);
    const at = words[area.at >>> 2] ?? 0;
    return at > area.end
      ? `what was on its stack in ${call} takes ${at - area.end} bytes more than its area has room for: give ODONATA_PARKABLE more`
      : `it did not leave ${call}, where it was to be parked: is that among the calls that --asyncify-imports has? (${trap})`;
  }

  #parked(name: string, call: Call): Call {
    return (...args) => {
      if (this.#leaves !== undefined)
        this.#end('it called where it was to leave: its exports asyncify_... are not those of Asyncify');
      const resume = this.#returns;
      // A handler runs when the call is over, and nowhere between: what it calls would be taken for this one.
      if (resume === undefined) {
        this.#gate.hold();
        this.#began = [clockNs(Clockid.realtime), clockNs(Clockid.monotonic)];
      } else {
        this.#returns = undefined;
        this.#call('asyncify_stop_rewind');
        this.#began = resume.parked.beganNs;
        this.#answer = resume;
      }
      this.#mayLeave = true;
      let result: unknown;
      try {
        result = call(...args);
      } catch (error) {
        if (!(error instanceof Leave)) {
          this.#gate.release();
          throw error;
        }
        // Held until its thread has left.
        const area = this.#area!;
        new Int32Array(this.#memory.buffer).set([area.at + PARK_AREA_WORDS * 4, area.end], area.at >>> 2);
        this.#leaves = { area, beganNs: this.#began, call: name };
        this.#call('asyncify_start_unwind', area.at);
        return 0;
      } finally {
        this.#mayLeave = false;
        this.#answer = undefined;
        this.#began = [];
      }
      this.#gate.release();
      this.#gate.deliver();
      return result;
    };
  }

  /** A program whose list of calls to leave in lacks one goes on there. */
  #through(name: string, call: Call): Call {
    return (...args) => {
      if (this.#leaves !== undefined || this.#returns !== undefined)
        this.#end(
          `it called ${name} where it was to leave: its calls are not those that --asyncify-imports has`,
        );
      return call(...args);
    };
  }

  #global(index: number): WebAssembly.Global {
    return this.#exports[exportOfGlobal(index)] as WebAssembly.Global;
  }

  #call(name: string, ...args: number[]): unknown {
    return (this.#exports[name] as (...args: number[]) => unknown)(...args);
  }
}
