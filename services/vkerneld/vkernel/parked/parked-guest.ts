// What is kept of a program that is parked, beside its memory and its descriptors.
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
  readonly call: string;
  readonly answer: { readonly errno: number; readonly payload: Uint8Array<ArrayBuffer> };
}

/** Thrown through a call of ours: its thread is to leave the program. */
export class Leave extends Error {}
