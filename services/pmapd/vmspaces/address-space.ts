// An address space as the calls on vmspaces see it: made by hand, or of a process of a virtual kernel.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { Advice } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';

/** Addresses [address, address + lengthBytes) and what is there. */
export interface Part {
  readonly address: number;
  readonly lengthBytes: number;
  readonly writable: boolean;
  /** Missing: private memory. */
  readonly dataspace?: SharedDataspace | undefined;
  /** In the dataspace. */
  readonly offsetBytes: number;
}

export interface Entry extends Part {
  readonly advice: Advice;
}

/** Pages beside each other that have frames. */
export interface Run {
  readonly address: number;
  readonly pages: number;
  readonly dataspace?: SharedDataspace | undefined;
  readonly firstPage: number;
}

export interface AddressSpace {
  readonly id: bigint;
  readonly owner: string;
  readonly sizeBytes: number;
  /** In words: `vmspace 7 of process 100001`. */
  readonly shown: string;
  /** What is there, in order and without a gap. @throws RpcError OUT_OF_RANGE where nothing is mapped */
  parts(address: number, lengthBytes: number): Part[];
  entries(): Iterable<Entry>;
  /** In order, those that end behind an address. One without pages: it looked at enough for one turn, up to there. */
  residentRuns(from: number): Iterable<Run>;
  readPrivate(address: number, bytes: Uint8Array): void | Promise<void>;
  /** @throws RpcError RESOURCE_EXHAUSTED */
  writePrivate(address: number, bytes: Uint8Array): void;
  /** Of private memory: pages without a frame. */
  absentPrivate(address: number, lengthBytes: number): number;
}

/** @throws RpcError INVALID_ARGUMENT, OUT_OF_RANGE */
export function expectPages(
  space: Pick<AddressSpace, 'shown' | 'sizeBytes'>,
  address: bigint,
  lengthBytes: bigint,
): void {
  if (address % BigInt(PAGE_BYTES) !== 0n)
    throw invalidField('address', `address: a multiple of ${PAGE_BYTES}, not ${address}`);
  if (lengthBytes === 0n || lengthBytes % BigInt(PAGE_BYTES) !== 0n)
    throw invalidField(
      'length_bytes',
      `length_bytes: a multiple of ${PAGE_BYTES} and not 0, not ${lengthBytes}`,
    );
  expectWithin(space, address, lengthBytes);
}

/** @throws RpcError OUT_OF_RANGE */
export function expectWithin(
  space: Pick<AddressSpace, 'shown' | 'sizeBytes'>,
  address: bigint,
  lengthBytes: bigint,
): void {
  if (address + lengthBytes <= BigInt(space.sizeBytes)) return;
  throw new RpcError(
    Code.OutOfRange,
    `${space.shown} has ${space.sizeBytes} bytes; ${address} + ${lengthBytes} go past its end`,
  );
}

export function notMapped(space: AddressSpace, address: number): RpcError {
  const hex = `0x${address.toString(16)}`;
  return new RpcError(
    Code.OutOfRange,
    `${space.shown}: nothing is mapped at ${hex}; ListMapEntries lists what is`,
  );
}

/** Of a part: what lies in [from, end). Undefined: nothing. */
export function clip<P extends Part>(part: P, from: number, end: number): P | undefined {
  const address = Math.max(from, part.address);
  const to = Math.min(end, part.address + part.lengthBytes);
  if (address >= to) return undefined;
  const offsetBytes = part.offsetBytes + (address - part.address);
  return { ...part, address, lengthBytes: to - address, offsetBytes };
}
