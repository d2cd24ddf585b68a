// The import module `odonata`: shared dataspaces, range locks, barriers, waits and wakes, connections, identities. What it offers is described in
// libs/guest/module/odonata.ts; here is what its calls do.

import { type Implementation, wasmTypesOf } from '@odonata/guest/module/description.ts';
import { odonata } from '@odonata/guest/module/odonata.ts';
import { BACKLOG_MAX } from '@odonata/userfault/named-sockets.ts';
import type { ConnectionRequest } from './connections-asked.ts';
import type { KernelAnswer, KernelCaller } from './kernel-call.ts';
import { unpackWord } from './kernel-call.ts';
import { PARK_AREA_WORDS } from './parked/parked-guest.ts';
import { relationCalls } from './relation-calls.ts';
import type { SignalGate } from './signal-state.ts';
import type { DescriptorTable } from './wasi/descriptor-table.ts';
import { Errno, WasiError } from './wasi/errno.ts';
import type { GuestMemory } from './wasi/guest-memory.ts';
import { asImports } from './wasi/system.ts';

const nameBytesMax = 255;
const rangeNameBytesMax = 64;
/** HOST:PORT, where a host has a name of 253 at most. */
const addressBytesMax = 264;
/** PERSON:NAME */
const endpointNameBytesMax = 97;
const connectMsMax = 25_000;
/** Of a barrier. */
const membersMax = 1_024;
const nsPerMs = 1_000_000n;

const pageBytes = odonata.pageBytes.value;
const { CREATE, EXCLUSIVE, DURABLE } = odonata.constants.open.values;
const { READ, READ_WRITE } = odonata.constants.protection.values;
const { EVERYONE } = odonata.constants.listen.values;
const lockModes = odonata.constants.lockMode.values;
type LockModeName = keyof typeof lockModes;
const lockModeNames = Object.keys(lockModes) as LockModeName[];

/** With their types: see wasm/function-type.ts. */
export const odonataTypes: Readonly<Record<string, string>> = wasmTypesOf(odonata);

export interface Identity {
  readonly node: number;
  readonly vkernel: number;
  readonly pid: bigint;
}

type Imports = Record<string, (...args: (number | bigint)[]) => number | bigint>;

export function odonataImports(
  memory: GuestMemory,
  kernel: KernelCaller,
  identity: Identity,
  descriptors: DescriptorTable,
  gate: SignalGate,
): Imports {
  /** Sizes of what this process opened: a dataspace never changes its size. */
  const sizesOfOpened = new Map<bigint, bigint>();

  const nameOf = (at: number, length: number): string => {
    if (length === 0) throw new WasiError(Errno.inval);
    if (length > endpointNameBytesMax) throw new WasiError(Errno.nametoolong);
    const name = memory.string(at, length);
    if (/\p{Cc}/u.test(name)) throw new WasiError(Errno.inval);
    return name;
  };

  /** Stores the descriptor of what the supervisor has connected. */
  const connected = (at: number, request: ConnectionRequest): void => {
    descriptors.expectRoom();
    const { payload } = expectSuccess(kernel.call({ call: 'connect', request }));
    memory.setU32(at, descriptors.addKeptConnection(Number(unpackWord(payload, 0))));
  };

  /** These cannot fail, and touch no memory. */
  const direct = {
    node_id: () => identity.node,
    vkernel_id: () => identity.vkernel,
    process_id: () => identity.pid,
  } satisfies Partial<Implementation<typeof odonata>>;

  const calls: Omit<Implementation<typeof odonata>, keyof typeof direct> = {
    ds_open: (nameAt: number, nameLength: number, size: bigint, flags: number, at: number) => {
      memory.expectWritable(at, 16);
      if (nameLength === 0 || flags & ~(CREATE.value | EXCLUSIVE.value | DURABLE.value)) {
        throw new WasiError(Errno.inval);
      }
      if (nameLength > nameBytesMax) throw new WasiError(Errno.nametoolong);
      if (size < 0n) throw new WasiError(Errno.fbig);
      const { payload } = expectSuccess(
        kernel.call({
          call: 'ds_open',
          name: memory.string(nameAt, nameLength),
          sizeBytes: size,
          create: (flags & CREATE.value) !== 0,
          exclusive: (flags & EXCLUSIVE.value) !== 0,
          durable: (flags & DURABLE.value) !== 0,
        }),
      );
      const id = unpackWord(payload, 0);
      const sizeBytes = unpackWord(payload, 1);
      sizesOfOpened.set(id, sizeBytes);
      memory.setU64(at, id);
      memory.setU64(at + 8, sizeBytes);
    },
    ds_map: (id: bigint, address: number, length: number, offset: bigint, protection: number) => {
      const dataspace = BigInt.asUintN(64, id);
      const sizeBytes = sizeOf(dataspace);
      expectPages(address, length);
      const end = offset + BigInt(length);
      if (offset < 0n || offset % BigInt(pageBytes) !== 0n || end > roundedUp(sizeBytes)) {
        throw new WasiError(Errno.inval);
      }
      if (protection !== READ.value && protection !== READ_WRITE.value) {
        throw new WasiError(Errno.inval);
      }
      const writable = protection === READ_WRITE.value;
      expectSuccess(
        kernel.call({
          call: 'ds_map',
          dataspace,
          address,
          lengthBytes: length,
          offsetBytes: Number(offset),
          writable,
        }),
      );
      memory.mapped(address, length, writable ? 'shared' : 'shared-read-only');
    },
    ds_unmap: (address: number, length: number) => {
      expectPages(address, length);
      expectSuccess(kernel.call({ call: 'ds_unmap', address, lengthBytes: length }));
      memory.mapped(address, length, 'private');
    },
    ds_stat: (id: bigint, at: number) => {
      memory.expectWritable(at, 16);
      const sizeBytes = sizeOf(BigInt.asUintN(64, id));
      memory.setU64(at, sizeBytes);
      memory.setU64(at + 8, roundedUp(sizeBytes) / BigInt(pageBytes));
    },
    lock: (id: bigint, begin: bigint, end: bigint, mode: number, timeoutMs: bigint) => {
      const dataspace = BigInt.asUintN(64, id);
      const range = expectRange(dataspace, begin, end);
      const name = lockModeNames.find((about) => lockModes[about].value === mode);
      if (name === undefined) throw new WasiError(Errno.inval);
      expectSuccess(kernel.call({ call: 'lock', dataspace, ...range, mode: name, timeoutMs }));
    },
    unlock: (id: bigint, begin: bigint, end: bigint) => {
      const dataspace = BigInt.asUintN(64, id);
      expectSuccess(kernel.call({ call: 'unlock', dataspace, ...expectRange(dataspace, begin, end) }));
    },
    barrier: (id: bigint, name: bigint, count: number, generation: bigint, timeoutMs: bigint) => {
      const dataspace = BigInt.asUintN(64, id);
      sizeOf(dataspace);
      if (count < 1 || count > membersMax) throw new WasiError(Errno.inval);
      const meeting = { name, count, generation: BigInt.asUintN(64, generation) };
      expectSuccess(kernel.call({ call: 'barrier', dataspace, meeting, timeoutMs }));
    },
    sync: (id: bigint, offset: bigint, length: bigint) => {
      const dataspace = BigInt.asUintN(64, id);
      if (offset < 0n || length < 0n || offset + length > sizeOf(dataspace)) throw new WasiError(Errno.inval);
      expectSuccess(kernel.call({ call: 'sync', dataspace, offset, length }));
    },
    ds_remove: (nameAt: number, nameLength: number) => {
      if (nameLength === 0) throw new WasiError(Errno.inval);
      if (nameLength > nameBytesMax) throw new WasiError(Errno.nametoolong);
      expectSuccess(kernel.call({ call: 'ds_remove', name: memory.string(nameAt, nameLength) }));
    },
    connect: (addressAt: number, addressLength: number, at: number) => {
      memory.expectWritable(at, 4);
      if (addressLength === 0) throw new WasiError(Errno.inval);
      if (addressLength > addressBytesMax) throw new WasiError(Errno.nametoolong);
      const address = memory.string(addressAt, addressLength);
      if (/\p{Cc}/u.test(address)) throw new WasiError(Errno.inval);
      connected(at, { address });
    },
    listen: (nameAt: number, nameLength: number, backlog: number, flags: number, at: number) => {
      memory.expectWritable(at, 4);
      if (backlog < 1 || backlog > BACKLOG_MAX || flags & ~EVERYONE.value) throw new WasiError(Errno.inval);
      const everyone = (flags & EVERYONE.value) !== 0;
      connected(at, { name: nameOf(nameAt, nameLength), listen: { backlog, everyone } });
    },
    connect_name: (nameAt: number, nameLength: number, timeoutMs: number, at: number) => {
      memory.expectWritable(at, 4);
      if (timeoutMs >>> 0 > connectMsMax) throw new WasiError(Errno.inval);
      connected(at, { name: nameOf(nameAt, nameLength), timeoutMs: timeoutMs >>> 0 });
    },
    name_range: (id: bigint, offset: bigint, length: bigint, nameAt: number, nameLength: number) => {
      const dataspace = BigInt.asUintN(64, id);
      if (offset < 0n || length <= 0n || offset + length > sizeOf(dataspace))
        throw new WasiError(Errno.inval);
      if (nameLength > rangeNameBytesMax) throw new WasiError(Errno.nametoolong);
      const name = memory.string(nameAt, nameLength);
      if (/\p{Cc}/u.test(name)) throw new WasiError(Errno.inval);
      expectSuccess(kernel.call({ call: 'name_range', dataspace, offset, length, name }));
    },
    ...relationCalls(memory, kernel, descriptors, gate),
    snapshot: () => {
      if (kernel.snapshot?.cell.asked !== true) return 0;
      return kernel.call({ call: 'snapshot' }).errno === Errno.success ? 1 : 0;
    },
    park_area: (at: number, bytes: number) => {
      if (at % 4 !== 0 || bytes % 4 !== 0 || bytes <= PARK_AREA_WORDS * 4) throw new WasiError(Errno.inval);
      memory.expectWritable(at, bytes);
      kernel.parking?.useArea({ at, end: at + bytes });
    },
    wait32: (address: number, expected: number, timeoutNs: bigint) => {
      if (memory.atomicU32(address) !== expected) return Errno.again;
      const timeoutMs = timeoutNs < 0n ? -1n : (timeoutNs + nsPerMs - 1n) / nsPerMs;
      expectSuccess(kernel.call({ call: 'wait_register', address, timeoutMs }));
      // Only now: a wake after this look finds us registered, and one before it changed what we look at.
      if (memory.atomicU32(address) !== expected) {
        expectSuccess(kernel.call({ call: 'wait_cancel' }));
        return Errno.again;
      }
      return kernel.call({ call: 'wait_sleep' }).errno;
    },
    wake: (address: number, count: number, at: number) => {
      memory.expectWritable(at, 4);
      if (address % 4 !== 0) throw new WasiError(Errno.inval);
      memory.expectReadable(address, 4);
      const { payload } = expectSuccess(kernel.call({ call: 'wake', address, count }));
      memory.setU32(at, Number(unpackWord(payload, 0)));
    },
  };

  /** EBADF for what this process did not open. */
  function sizeOf(dataspace: bigint): bigint {
    const known = sizesOfOpened.get(dataspace);
    if (known !== undefined) return known;
    // Another thread of the process may have opened it.
    const { errno, payload } = kernel.call({ call: 'ds_size', dataspace });
    if (errno !== Errno.success) throw new WasiError(Errno.badf);
    sizesOfOpened.set(dataspace, unpackWord(payload, 0));
    return unpackWord(payload, 0);
  }

  function expectPages(address: number, length: number): void {
    const aligned = address % pageBytes === 0 && length % pageBytes === 0;
    if (!aligned || length === 0 || address + length > memory.byteLength) throw new WasiError(Errno.inval);
  }

  function expectRange(
    dataspace: bigint,
    begin: bigint,
    end: bigint,
  ): { begin: bigint; endInclusive: bigint } {
    sizeOf(dataspace);
    // Bytes past the end and before the beginning can be locked: they are names for what programs agree on.
    if (begin > end) throw new WasiError(Errno.inval);
    return { begin, endInclusive: end };
  }

  return { ...asImports(memory, calls, () => descriptors.release()), ...direct };
}

function expectSuccess(answer: KernelAnswer): KernelAnswer {
  if (answer.errno !== Errno.success) throw new WasiError(answer.errno);
  return answer;
}

function roundedUp(bytes: bigint): bigint {
  const page = BigInt(pageBytes);
  return ((bytes + page - 1n) / page) * page;
}
