// The sections that a module is made of.

import { concat, unsignedLeb } from './binary.ts';

export const SectionId = {
  ...{
    custom: 0,
    type: 1,
    import: 2,
    function: 3,
    table: 4,
    memory: 5,
    global: 6,
    export: 7,
    start: 8,
    code: 10,
    data: 11,
    dataCount: 12,
    tag: 13,
  },
} as const;

export interface Section {
  readonly id: number;
  /** With its header. */
  readonly whole: Uint8Array<ArrayBuffer>;
  readonly body: Uint8Array<ArrayBuffer>;
}

export function section(id: number, body: Uint8Array<ArrayBuffer>): Section {
  return { id, body, whole: concat([Uint8Array.of(id), unsignedLeb(body.length), body]) };
}
