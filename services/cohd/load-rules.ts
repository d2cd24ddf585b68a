// Loads: a dataspace is marked from the beginning of a load to its end, so that what broke off never looks whole.
//
//   begin, no such name         made, marked `made`
//   begin, whole                marked; it keeps its size, and those who map it go on
//   begin, marked `made`        an earlier load broke off, or is under way and loses: made anew, with another identity
//   begin, marked               taken over; it is whole again when as many bytes came as the earlier one was to bring
//   end, of the load that marks it        whole
//   end, of another             ABORTED, and marked again: both have written
//   end, of more than it has    OUT_OF_RANGE
//   abandon                     made by it: removed; else it stays marked
//
// Pure: what is known goes in, and what is to be stored, or the answer, comes out. The table of names
// stores it (`loads.ts`), if nobody changed the record meanwhile, and else asks anew.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import { expectAllowed, ownershipFor } from './ownership.ts';
import { type DataspaceRecord, expectSize, notKnown, type UnendedLoad } from './registry.ts';

export interface BegunLoad {
  name: string;
  sizeBytes: bigint;
  loadBytes: bigint;
  load: bigint;
  creator: string;
  creatorIncarnation: bigint;
  /** To make it with. */
  mode?: number;
  group: string;
}

export interface NamedLoad {
  name: string;
  dataspace: bigint;
  load: bigint;
}

export type EndedLoad = NamedLoad & { loadedBytes: bigint };

type NewRecord = Omit<DataspaceRecord, 'id'>;
type Marks = Pick<DataspaceRecord, 'load' | 'loaded'>;

/** What a load asks of the record that is known: one step, after which it is done, or asks anew. */
export type LoadStep<Answer> =
  | { do: 'answer'; answer: Answer }
  /** Where there is none still. @param countsFor whose quota it takes */
  | { do: 'make'; record: NewRecord; countsFor: string | undefined }
  /** In the place of one that nobody has mapped. */
  | { do: 'make-anew'; instead: DataspaceRecord; record: NewRecord }
  | { do: 'remove'; record: DataspaceRecord }
  /** @param says what whoever asked is told when that is stored; undefined: that it is done */
  | { do: 'mark'; record: DataspaceRecord; marks: Marks; says?: RpcError };

/** @throws RpcError what stands in the way */
export function beginLoad(
  existing: DataspaceRecord | undefined,
  wanted: BegunLoad,
  by: Requester,
): LoadStep<DataspaceRecord> {
  const { name, sizeBytes, load: id, loadBytes: least, creator, creatorIncarnation } = wanted;
  if (existing !== undefined) {
    expectAllowed(existing, by, 'write');
    expectOwnership(existing, wanted);
  }
  const mark = existing?.load;
  // Before anything is marked or made.
  const has = mark?.made === true ? undefined : existing?.sizeBytes;
  expectRoom(wanted, has ?? (sizeBytes || (existing?.sizeBytes ?? 0n)), existing !== undefined);
  // What is made anew stays whose it was.
  const { owner, group, mode } = existing ?? ownershipFor(by, name, wanted);
  const made = (bytes: bigint, durable: boolean): NewRecord => {
    const load = { id, bytes: least || bytes, least, made: true };
    return { name, sizeBytes: bytes, creator, creatorIncarnation, durable, load, owner, group, mode };
  };
  if (existing === undefined) {
    if (sizeBytes === 0n) throw notKnown(name);
    return { do: 'make', record: made(sizeBytes, false), countsFor: by.all ? undefined : owner };
  }
  // The answer to the first call was lost.
  if (mark?.id === id) return { do: 'answer', answer: existing };
  if (mark?.made === true) {
    const record = made(sizeBytes || existing.sizeBytes, existing.durable);
    return { do: 'make-anew', instead: existing, record };
  }
  if (sizeBytes !== 0n) expectSize(existing, sizeBytes);
  const load = { id, bytes: least || existing.sizeBytes, least, made: false };
  return { do: 'mark', record: existing, marks: { load: larger(load, mark) } };
}

/** @throws RpcError what stands in the way */
export function endLoad(known: DataspaceRecord | undefined, ended: EndedLoad): LoadStep<true> {
  const { name, dataspace, load, loadedBytes } = ended;
  if (known?.id !== dataspace)
    throw new RpcError(Code.Aborted, `dataspace ${name} was removed, or another load made it anew`);
  // The answer to the first call was lost.
  if (known.loaded === load) return { do: 'answer', answer: true };
  // Whoever has not begun it may say any number: what is stored of it everybody reads in their lists.
  if (loadedBytes > known.sizeBytes) {
    const what = `dataspace ${name} has ${known.sizeBytes} bytes; ${loadedBytes} cannot have come`;
    throw new RpcError(Code.OutOfRange, what);
  }
  const mark = known.load;
  if (mark?.id !== load) {
    const mixed = { id: load, bytes: loadedBytes, least: loadedBytes, made: false };
    const fix = 'what both wrote is not whole; load it again';
    const says = new RpcError(Code.Aborted, `another load into dataspace ${name} was under way: ${fix}`);
    return { do: 'mark', record: known, marks: { load: larger(mixed, mark) }, says };
  }
  if (loadedBytes < mark.least) {
    const fix = 'load it whole, or remove it';
    throw new RpcError(
      Code.FailedPrecondition,
      `${loadedBytes} of ${mark.least} bytes came for dataspace ${name}, which stays incomplete: ${fix}`,
    );
  }
  return { do: 'mark', record: known, marks: { loaded: load } };
}

export interface Abandoned {
  removed: boolean;
}

export function abandonLoad(
  known: DataspaceRecord | undefined,
  { dataspace, load }: NamedLoad,
): LoadStep<Abandoned> {
  if (known?.id !== dataspace || known.loaded === load) return { do: 'answer', answer: { removed: false } };
  const mark = known.load;
  if (mark?.id === load && mark.made) return { do: 'remove', record: known };
  if (mark !== undefined) return { do: 'answer', answer: { removed: false } };
  // Another load ended while this one wrote.
  const mixed = { id: load, bytes: known.sizeBytes, least: 0n, made: false };
  return { do: 'mark', record: known, marks: { load: mixed } };
}

/** @throws RpcError OUT_OF_RANGE where more bytes are to come than there is room for */
function expectRoom({ name, loadBytes }: BegunLoad, sizeBytes: bigint, isThere: boolean): void {
  if (sizeBytes === 0n || loadBytes <= sizeBytes) return;
  const has = isThere ? 'has' : 'would have';
  const what = `dataspace ${name} ${has} ${sizeBytes} bytes; the input has ${loadBytes}`;
  throw new RpcError(Code.OutOfRange, what);
}

/**
 * A load changes nobody's right to read: who asks for less of it than there is would believe that they got that.
 * @throws RpcError ALREADY_EXISTS where it is there with another mode or group than it was to be made with
 */
function expectOwnership(existing: DataspaceRecord, { name, mode, group }: BegunLoad): void {
  const digits = (mode: number): string => mode.toString(8).padStart(3, '0');
  const fix = `change that with: vkctl ds chmod`;
  if (mode !== undefined && mode !== existing.mode) {
    const what = `dataspace ${name} exists with mode ${digits(existing.mode)}, not ${digits(mode)}`;
    throw new RpcError(Code.AlreadyExists, `${what}; ${fix}`);
  }
  if (group !== '' && group !== existing.group) {
    const is = existing.group === '' ? 'without a group' : `with group ${existing.group}`;
    throw new RpcError(Code.AlreadyExists, `dataspace ${name} exists ${is}, not with ${group}; ${fix}`);
  }
}

function larger(load: UnendedLoad, other: UnendedLoad | undefined): UnendedLoad {
  if (other === undefined) return load;
  const most = (a: bigint, b: bigint): bigint => (a > b ? a : b);
  return { ...load, bytes: most(load.bytes, other.bytes), least: most(load.least, other.bytes) };
}
