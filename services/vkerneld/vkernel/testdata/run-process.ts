// Runs a program in a process of its own thread, for tests.

import type { Pmap } from '@odonata/pmap/pmap-interface.ts';
import { expect } from 'vitest';
import type { MountTable } from '../mounts/process-files.ts';
import type { Seat } from '../parked/seats.ts';
import { Process } from '../process.ts';
import type { ProcessExit, ProcessSpec } from '../process-spec.ts';
import { WarmWorkers } from '../warm-workers.ts';
import { PlainPmap } from './plain-pmap.ts';

/** Waits until a value is as expected; long, for the machine may be busy. */
export function eventually<T>(value: () => T, options: { interval?: number } = {}) {
  return expect.poll(value, { timeout: 40_000, ...options });
}

export interface Running {
  readonly process: Process;
  readonly exited: Promise<ProcessExit>;
  readonly troubles: string[];
  stdout(): string;
  stderr(): string;
  /** Bytes written so far. */
  written(): number;
  inputTaken(): number;
  /** Told while its thread does not end. */
  ending(): ProcessExit | undefined;
}

export class TestMachine {
  readonly pmap = new PlainPmap();
  readonly workers = new WarmWorkers(1);
  readonly #promised: Promise<Pmap>;
  #pid = 0n;

  constructor(pmap?: Promise<Pmap>) {
    this.#promised = pmap ?? Promise.resolve(this.pmap);
  }

  run(
    module: Uint8Array<ArrayBuffer>,
    options: Partial<ProcessSpec> & {
      stdin?: string;
      takeOutput?: boolean;
      threadEndMs?: number;
      mounts?: MountTable;
      seat?: Seat;
    } = {},
  ): Running {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const troubles: string[] = [];
    let taken = 0;
    let ending: ProcessExit | undefined;
    const { stdin, takeOutput = true, threadEndMs, mounts, seat, ...spec } = options;
    let tell: (exit: ProcessExit) => void;
    const exited = new Promise<ProcessExit>((resolve) => {
      tell = resolve;
    });
    const process = new Process(
      {
        pid: ++this.#pid,
        name: 'program',
        args: [],
        env: [],
        grants: [],
        quotaBytes: 1 << 28,
        module,
        ...spec,
      },
      {
        ...{
          pmap: this.#promised,
          workers: this.workers,
          node: 3,
          nodeName: 'node3',
          vkernel: 7,
          threadEndMs,
        },
        ...(mounts && { mounts: () => mounts }),
        ...(seat && { seat }),
      },
      {
        started: () => {},
        output: (stream, data) => {
          (stream === 1 ? out : err).push(Buffer.from(data));
          if (takeOutput) setImmediate(() => process.output.taken(data.length));
        },
        inputAsked: () => {},
        inputTaken: (bytes) => {
          taken += bytes;
        },
        stopped: () => {},
        ending: (exit) => {
          ending = exit;
        },
        exited: (exit) => tell(exit),
        troubled: (what, error) => troubles.push(`${what} ${error ?? ''}`),
      },
    );
    if (stdin !== undefined) {
      process.input.push(Buffer.from(stdin));
      process.input.end();
    }
    const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString();
    return {
      process,
      exited,
      troubles,
      stdout: () => text(out),
      stderr: () => text(err),
      written: () => [...out, ...err].reduce((sum, chunk) => sum + chunk.length, 0),
      inputTaken: () => taken,
      ending: () => ending,
    };
  }

  close(): Promise<void> {
    return this.workers.close();
  }
}
