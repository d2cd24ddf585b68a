// What a virtual kernel says, and is not believed: addresses, lengths, counts and times are checked, or cut to what they can
// be, before anything is done with them.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { LocalFaults, VmspaceMmap } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';

/** No process has addresses from there on (five levels of page tables). */
const ADDRESS_END = 1n << 56n;
const PAGE = BigInt(PAGE_BYTES);

/** Bytes of a name, as the directory has it. */
const NAME_BYTES = 255;
/** Pages that one call reads ahead. */
export const ADVISED_PAGES_MAX = 1_024;
/** Frames that are asked for at once. */
export const WANT_MAX = 65_536;
/** Of one report. */
const LOCAL_COUNT_MAX = 1_000_000n;
const LOCAL_SAMPLES_MAX = 1_024;
const REASON_MAX = 500;

/** A virtual kernel said what none says that is what it should be: its session ends. */
export class Lie extends RpcError {
  constructor(reason: string) {
    super(Code.InvalidArgument, reason);
  }
}

/** It spoke for a process, or of a thing, that is not its own. */
export class Foreign extends RpcError {
  constructor(reason: string) {
    super(Code.PermissionDenied, reason);
  }
}

const isPage = (bytes: bigint): boolean => bytes % PAGE === 0n;

/** @throws RpcError INVALID_ARGUMENT */
export function expectRange({ address, lengthBytes }: Pick<VmspaceMmap, 'address' | 'lengthBytes'>): void {
  if (!isPage(address) || !isPage(lengthBytes) || lengthBytes === 0n)
    throw new RpcError(Code.InvalidArgument, `address, length and offset: multiples of ${PAGE_BYTES}`);
  if (address === 0n || address >= ADDRESS_END || lengthBytes > ADDRESS_END - address)
    throw new RpcError(Code.InvalidArgument, 'address and length: no process has such addresses');
}

/** @throws RpcError INVALID_ARGUMENT */
export function expectMapping(value: VmspaceMmap): void {
  expectRange(value);
  if (!isPage(value.offsetBytes))
    throw new RpcError(Code.InvalidArgument, `address, length and offset: multiples of ${PAGE_BYTES}`);
}

/** Of a page that faults. @throws Lie */
export function expectFaultAddress(address: bigint): void {
  if (!isPage(address) || address >= ADDRESS_END)
    throw new Lie(`a fault at ${address}, where no page begins`);
}

/** @throws RpcError INVALID_ARGUMENT */
export function expectName(name: string): void {
  if (name === '' || Buffer.byteLength(name) > NAME_BYTES)
    throw new RpcError(Code.InvalidArgument, `the name of a dataspace has 1 to ${NAME_BYTES} bytes`);
}

/** When a fault happened: not in the future, and not before the session began. */
export function timeOf(atNs: bigint, sinceNs: bigint): bigint {
  const nowNs = process.hrtime.bigint();
  return atNs > nowNs || atNs < sinceNs ? nowNs : atNs;
}

export function countsOf({ count, sampleNs }: LocalFaults): { count: number; sampleNs: number[] } {
  return {
    count: Number(count < LOCAL_COUNT_MAX ? count : LOCAL_COUNT_MAX),
    sampleNs: sampleNs.slice(0, LOCAL_SAMPLES_MAX),
  };
}

export const shortReason = (reason: string): string => reason.slice(0, REASON_MAX);
