// What is kept of a program that is parked, beside its memory and its descriptors.
export type KeptValue = number | bigint;

/** Addresses: of two words and what is to follow them, and of its end. */
export interface ParkArea {
  readonly at: number;
  readonly end: number;
}

/** Of Asyncify, where an area begins: up to where it is written, and its end. */
export const PARK_AREA_WORDS = 2;

export interface ParkedGuest {
  /** Where it left its stack, in its memory. */
  readonly area: ParkArea;
  /** The function of its table that its signals come to. */
  readonly handler: number | undefined;
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
