// The part of module `odonata` that is about processes: children, signals, groups. What it offers is described in
// libs/guest/module/odonata.ts.
import { fstatSync, readSync } from 'node:fs';
import type { Implementation } from '@odonata/guest/module/description.ts';
import { odonata } from '@odonata/guest/module/odonata.ts';
import { givenFile } from './given-files.ts';
import type { GivenDescriptor, KernelCaller, KernelRequest, SpawnPlace } from './kernel-call.ts';
import { unpackWord } from './kernel-call.ts';
import { ACTION_HANDLER, isSignal, type SignalGate } from './signal-state.ts';
import { type DescriptorTable, descriptorsMax } from './wasi/descriptor-table.ts';
import { Errno, WasiError } from './wasi/errno.ts';
import type { FilePosition } from './wasi/file-position.ts';
import type { GuestMemory } from './wasi/guest-memory.ts';
import { wasiSignals } from './wasi/signals.ts';

const MODULE_BYTES = 256 << 20;
/** Arguments and variables together, as of a program that is started from outside. */
const WORDS_BYTES = 2 << 20;
const NODE_BYTES = 63;
const DATASPACE_BYTES = 255;
const NAME_BYTES = 255;

const { NEW_GROUP, SPREAD, SELF, NEAR, APART } = odonata.constants.spawn.values;
const { FLUSH } = odonata.constants.terminal.values;
const TERMINAL_WORDS = 10;
const { NO_HANG, STOPPED: UNTRACED, CONTINUED: ALSO_CONTINUED } = odonata.constants.wait.values;

type Names =
  | 'pipe'
  | 'dup'
  | 'signal_action'
  | 'signal_function'
  | 'spawn'
  | 'wait'
  | 'kill'
  | 'identify'
  | 'set_group'
  | 'terminal_get'
  | 'terminal_set'
  | 'terminal_resize'
  | 'terminal_foreground'
  | 'set_session';
type RelationCalls = Pick<Implementation<typeof odonata>, Names>;

export function relationCalls(
  memory: GuestMemory,
  kernel: KernelCaller,
  descriptors: DescriptorTable,
  gate: SignalGate,
): RelationCalls {
  const ask = (request: KernelRequest): Uint8Array<ArrayBuffer> => {
    const { errno, payload } = kernel.call(request);
    if (errno !== Errno.success) throw new WasiError(errno);
    return payload;
  };
  const store = (at: number, payload: Uint8Array<ArrayBuffer>, words: number): void => {
    for (let i = 0; i < words; i++)
      memory.setU64(at + i * 8, i * 8 < payload.length ? unpackWord(payload, i) : 0n);
  };
  const words = (at: number, length: number): Uint8Array[] => {
    memory.expectReadable(at, length);
    return wordsIn(memory.view(at, length).slice());
  };
  return {
    spawn: (
      fd,
      argsAt,
      argsLength,
      envAt,
      envLength,
      fdsAt,
      fdsLength,
      nodeAt,
      nodeLength,
      flags,
      group,
      at,
    ) => {
      memory.expectWritable(at, 24);
      const place = placeOf(flags, nodeLength);
      if (argsLength + envLength > WORDS_BYTES) throw new WasiError(Errno.toobig);
      if (nodeLength > (place.place === 'near' ? DATASPACE_BYTES : NODE_BYTES))
        throw new WasiError(Errno.nametoolong);
      memory.expectReadable(fdsAt, fdsLength);
      const fds = givenOf(memory, descriptors, fdsAt, fdsLength);
      const args = words(argsAt, argsLength);
      const env = words(envAt, envLength);
      const [name] = args;
      if (name === undefined || name.length === 0 || name.length > NAME_BYTES)
        throw new WasiError(Errno.inval);
      for (const each of env) if (each.indexOf(EQUALS) < 1) throw new WasiError(Errno.inval);
      const payload = ask({
        call: 'spawn',
        module: flags & SELF.value ? undefined : moduleOf(descriptors, fd),
        ...{ args, env, node: memory.string(nodeAt, nodeLength), ...place },
        fds,
        group: flags & NEW_GROUP.value ? 0n : group === 0n ? undefined : BigInt.asUintN(64, group),
      });
      store(at, payload, 3);
    },
    wait: (which: bigint, flags: number, at: number) => {
      memory.expectWritable(at, 24);
      if ((flags & ~(NO_HANG.value | UNTRACED.value | ALSO_CONTINUED.value)) !== 0)
        throw new WasiError(Errno.inval);
      const has = ({ value }: { value: number }): boolean => (flags & value) !== 0;
      const changes = { stopped: has(UNTRACED), continued: has(ALSO_CONTINUED) };
      store(at, ask({ call: 'wait_child', which, hang: !has(NO_HANG), ...changes }), 3);
    },
    kill: (target: bigint, signal: number) => {
      const name = wasiSignals[signal];
      if (name === undefined) throw new WasiError(Errno.inval);
      ask({ call: 'kill', target, signal: name });
    },
    identify: (target: bigint, at: number) => {
      memory.expectWritable(at, 32);
      store(at, ask({ call: 'identify', target: BigInt.asUintN(64, target) }), 4);
    },
    set_group: (target: bigint, group: bigint) => {
      ask({ call: 'set_group', target, group, session: false });
    },
    pipe: (at: number) => {
      memory.expectWritable(at, 16);
      descriptors.expectRoom();
      const payload = ask({ call: 'pipe' });
      const write = Number(unpackWord(payload, 1));
      const read = descriptors.addKeptConnection(Number(unpackWord(payload, 0)));
      memory.setU64(at, BigInt(read));
      memory.setU64(at + 8, BigInt(descriptors.addKeptConnection(write)));
    },
    dup: (fd: number, to: number, at: number) => {
      memory.expectWritable(at, 4);
      const descriptor = descriptors.get(fd);
      if (to !== LOWEST && to >= descriptorsMax) throw new WasiError(Errno.badf);
      if (to === fd) {
        memory.setU32(at, fd);
        return;
      }
      descriptors.expectRoom();
      const { flags } = descriptor;
      const made =
        descriptor.kind === 'socket'
          ? descriptors.addKeptConnection(
              Number(unpackWord(ask({ call: 'duplicate', host: descriptor.host }), 0)),
              flags,
            )
          : descriptors.again(fd);
      if (to !== LOWEST) descriptors.moveTo(made, to);
      memory.setU32(at, to === LOWEST ? made : to);
    },
    signal_action: (signal: number, action: number) => {
      const name = wasiSignals[signal];
      if (!isSignal(signal) || name === 'SIGKILL' || name === 'SIGSTOP' || action > ACTION_HANDLER)
        throw new WasiError(Errno.inval);
      if (action === ACTION_HANDLER && gate.handler === undefined) throw new WasiError(Errno.notsup);
      gate.setAction(signal, action);
    },
    signal_function: (number: number) => {
      if (gate.functionOf === undefined) throw new WasiError(Errno.notsup);
      if (!gate.handleBy(number)) throw new WasiError(Errno.inval);
    },
    terminal_get: (fd: number, at: number) => {
      memory.expectWritable(at, TERMINAL_WORDS * 8);
      expectTerminal(descriptors, fd);
      store(at, ask({ call: 'terminal', asked: {} }), TERMINAL_WORDS);
    },
    terminal_set: (fd, flags, input, output, local, charactersAt, charactersLength) => {
      expectTerminal(descriptors, fd);
      if ((flags & ~FLUSH.value) !== 0 || charactersLength > 32) throw new WasiError(Errno.inval);
      memory.expectReadable(charactersAt, charactersLength);
      const characters = memory.view(charactersAt, charactersLength).slice();
      const settings = { input, output, local, characters };
      ask({ call: 'terminal', asked: { settings, flush: (flags & FLUSH.value) !== 0 } });
    },
    terminal_resize: (fd: number, rows: number, columns: number) => {
      expectTerminal(descriptors, fd);
      if (rows > 65_535 || columns > 65_535) throw new WasiError(Errno.inval);
      ask({ call: 'terminal', asked: { size: { rows, columns } } });
    },
    terminal_foreground: (fd: number, group: bigint) => {
      expectTerminal(descriptors, fd);
      if (group === 0n) throw new WasiError(Errno.inval);
      ask({ call: 'terminal', asked: { foreground: BigInt.asUintN(64, group) } });
    },
    set_session: () => {
      ask({ call: 'set_group', target: 0n, group: 0n, session: true });
    },
  };
}

/** Pairs of a descriptor here and what it is there. Directories do not go along; where one is asked for by another number, that is said. */
function givenOf(
  memory: GuestMemory,
  descriptors: DescriptorTable,
  at: number,
  length: number,
): GivenDescriptor[] {
  if (length % 8 !== 0 || length > descriptorsMax * 8) throw new WasiError(Errno.inval);
  const given: GivenDescriptor[] = [];
  const lent = new Map<unknown, FilePosition>();
  for (let i = 0; i < length; i += 8) {
    const from = memory.u32(at + i);
    const to = memory.u32(at + i + 4);
    if (to >= descriptorsMax) throw new WasiError(Errno.badf);
    const descriptor = descriptors.get(from);
    const implied = from === to;
    if (descriptor.kind === 'stream') given.push({ to, stream: descriptor.stream, implied });
    else if (descriptor.kind === 'socket' && descriptor.preopen === undefined)
      given.push({ to, host: descriptor.host, implied });
    else {
      const file = givenFile(descriptors, descriptor, lent);
      if (file !== undefined) given.push({ to, implied, ...file } as GivenDescriptor);
      else if (!implied) throw new WasiError(Errno.notsup);
    }
  }
  return given;
}

/** @throws WasiError EBADF, ENOTTY */
function expectTerminal(descriptors: DescriptorTable, fd: number): void {
  const descriptor = descriptors.get(fd);
  if (descriptor.kind !== 'stream' || !descriptor.isTerminal) throw new WasiError(Errno.notty);
}

/** As `to` of dup. */
const LOWEST = 0xffff_ffff;
const EQUALS = 0x3d;

/** Each has a NUL after it. */
function wordsIn(bytes: Uint8Array): Uint8Array[] {
  const words: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    if (end < 0) throw new WasiError(Errno.inval);
    words.push(bytes.subarray(at, end));
    at = end + 1;
  }
  return words;
}

/** The bytes of a file that is open for reading, from its begin. */
function moduleOf(descriptors: DescriptorTable, fd: number): Uint8Array<ArrayBuffer> {
  const descriptor = descriptors.get(fd);
  if (descriptor.kind !== 'file' || !descriptor.seekable) throw new WasiError(Errno.badf);
  const { size } = fstatSync(descriptor.host);
  if (size > MODULE_BYTES) throw new WasiError(Errno.fbig);
  const bytes = new Uint8Array(size);
  let done = 0;
  while (done < size) {
    const n = readSync(descriptor.host, bytes, done, size - done, done);
    if (n === 0) break;
    done += n;
  }
  return bytes.subarray(0, done);
}

/** A node that is named is where the child runs. @throws WasiError EINVAL */
function placeOf(flags: number, nodeLength: number): { place: SpawnPlace; apart: boolean } {
  const known = NEW_GROUP.value | SPREAD.value | SELF.value | NEAR.value | APART.value;
  if ((flags & ~known) !== 0) throw new WasiError(Errno.inval);
  const apart = (flags & APART.value) !== 0;
  if ((flags & NEAR.value) !== 0) {
    if (nodeLength === 0) throw new WasiError(Errno.inval);
    return { place: 'near', apart };
  }
  if (nodeLength > 0) {
    if (apart) throw new WasiError(Errno.inval);
    return { place: 'named', apart };
  }
  return { place: (flags & SPREAD.value) === 0 ? 'named' : 'spread', apart };
}
