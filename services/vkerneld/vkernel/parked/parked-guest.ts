// What is kept of a program that is parked, beside its memory and its descriptors.
import type { KernelAnswer, KernelRequest } from '../kernel-call.ts';

export type KeptValue = number | bigint;

export interface ParkedGuest {
  /** Where it left its stack, in its memory. */
  readonly area: number;
  /** In the order of those that are exported. */
  readonly globals: readonly KeptValue[];
  /** When the call began that it waits in, nanoseconds, by the clock's number in WASI. */
  readonly beganNs: readonly bigint[];
}

/** For the thread that goes on. */
export interface ResumeGuest {
  readonly parked: ParkedGuest;
  /** What it waited for. */
  readonly call: KernelRequest['call'];
  readonly answer: KernelAnswer;
}

/** Thrown through a call of ours: its thread is to leave the program. */
export class Leave extends Error {}
