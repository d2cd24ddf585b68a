// Loads: a dataspace is marked from the beginning of a load to its end, so that what broke off never looks whole.
//
//   begin, no such name         made, marked `made`
//   begin, whole                marked; it keeps its size, and those who map it go on
//   begin, marked `made`        an earlier load broke off, or is under way and loses: made anew, with another identity
//   begin, marked               taken over; it is whole again when as many bytes came as the earlier one was to bring
//   end, of the load that marks it        whole
//   end, of another             ABORTED, and marked again: both have written
//   abandon                     made by it: removed; else it stays marked
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import { InOrder } from '@odonata/rpc/in-order.ts';
import type { CoherencyService } from './coherency-service.ts';
import { expectAllowed, ownershipFor } from './ownership.ts';
import { type DataspaceRecord, expectSize, notKnown, type Registry, type UnendedLoad } from './registry.ts';

/** Who meets others at one name more often than this gives up. */
const TRIES_MAX = 10;

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

export class Loads {
  private readonly registry: Registry;
  private readonly service: CoherencyService;
  private readonly userDataspaces: number;
  /** By name. */
  private readonly turns = new InOrder<string>();

  /** @param userDataspaces that one user may own */
  constructor(registry: Registry, service: CoherencyService, userDataspaces: number) {
    this.registry = registry;
    this.service = service;
    this.userDataspaces = userDataspaces;
  }

  begin(wanted: BegunLoad, by: Requester): Promise<DataspaceRecord> {
    return this.turns.run(wanted.name, () => untilDone(wanted.name, () => this.tryToBegin(wanted, by)));
  }

  end(ended: NamedLoad & { loadedBytes: bigint }): Promise<void> {
    return this.turns
      .run(ended.name, () =>
        untilDone(ended.name, async () => ((await this.tryToEnd(ended)) ? true : undefined)),
      )
      .then(() => {});
  }

  abandon(about: NamedLoad): Promise<{ removed: boolean }> {
    return this.turns.run(about.name, () => untilDone(about.name, () => this.tryToAbandon(about)));
  }

  private async tryToBegin(wanted: BegunLoad, by: Requester): Promise<DataspaceRecord | undefined> {
    const { name, sizeBytes, load: id, creator, creatorIncarnation } = wanted;
    const existing = this.registry.get(name);
    if (existing !== undefined) {
      expectAllowed(existing, by, 'write');
      expectOwnership(existing, wanted);
    }
    // Before anything is marked or made.
    const has =
      existing?.load?.made === false || existing?.load === undefined ? existing?.sizeBytes : undefined;
    expectRoom(wanted, has ?? (sizeBytes || (existing?.sizeBytes ?? 0n)), existing !== undefined);
    // What is made anew stays whose it was.
    const { owner, group, mode } = existing ?? ownershipFor(by, wanted);
    const make = (bytes: bigint, durable: boolean) => {
      const { loadBytes: least } = wanted;
      const load = { id, bytes: least || bytes, least, made: true };
      const about = { name, sizeBytes: bytes, creator, creatorIncarnation, durable, load };
      return this.registry.create({ ...about, owner, group, mode });
    };
    if (existing === undefined) {
      if (sizeBytes === 0n) throw notKnown(name);
      if (!by.all) this.registry.expectQuota(owner, this.userDataspaces);
      const { record, created } = await make(sizeBytes, false);
      return created ? record : undefined;
    }
    if (existing.load?.id === id) return existing; // The answer to the first call was lost.
    if (existing.load?.made === true) {
      this.service.expectUnmapped(existing);
      if (!(await this.registry.removeUnchanged(existing))) return undefined;
      const { record, created } = await make(sizeBytes || existing.sizeBytes, existing.durable);
      return created ? record : undefined;
    }
    if (sizeBytes !== 0n) expectSize(existing, sizeBytes);
    const { loadBytes: least } = wanted;
    const load = { id, bytes: least || existing.sizeBytes, least, made: false };
    return await this.registry.change(existing, { load: larger(load, existing.load) });
  }

  private async tryToEnd(ended: NamedLoad & { loadedBytes: bigint }): Promise<boolean> {
    const { name, load, loadedBytes } = ended;
    const record = this.same(ended);
    if (record.loaded === load) return true; // The answer to the first call was lost.
    const mark = record.load;
    if (mark?.id !== load) {
      const mixed = { id: load, bytes: loadedBytes, least: loadedBytes, made: false };
      if (!(await this.registry.change(record, { load: larger(mixed, mark) }))) return false;
      const fix = 'what both wrote is not whole; load it again';
      throw new RpcError(Code.Aborted, `another load into dataspace ${name} was under way: ${fix}`);
    }
    if (loadedBytes < mark.least) {
      const fix = 'load it whole, or remove it';
      throw new RpcError(
        Code.FailedPrecondition,
        `${loadedBytes} of ${mark.least} bytes came for dataspace ${name}, which stays incomplete: ${fix}`,
      );
    }
    return (await this.registry.change(record, { loaded: load })) !== undefined;
  }

  private async tryToAbandon(about: NamedLoad): Promise<{ removed: boolean } | undefined> {
    const record = this.registry.get(about.name);
    if (record?.id !== about.dataspace || record.loaded === about.load) return { removed: false };
    const mark = record.load;
    if (mark?.id === about.load && mark.made)
      return (await this.registry.removeUnchanged(record)) ? { removed: true } : undefined;
    if (mark !== undefined) return { removed: false };
    // Another load ended while this one wrote.
    const load = { id: about.load, bytes: record.sizeBytes, least: 0n, made: false };
    return (await this.registry.change(record, { load })) && { removed: false };
  }

  private same({ name, dataspace }: NamedLoad): DataspaceRecord {
    const record = this.registry.get(name);
    if (record?.id === dataspace) return record;
    throw new RpcError(Code.Aborted, `dataspace ${name} was removed, or another load made it anew`);
  }
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

/** @param attempt undefined: another replica was faster, and what it did is known now */
export async function untilDone<T>(name: string, attempt: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const done = await attempt();
    if (done !== undefined) return done;
  }
  throw new RpcError(Code.Aborted, `others change dataspace ${name} at the same time; try again`);
}
