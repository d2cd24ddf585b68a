/**
 * The thread of one guest: its WASI is node:wasi, its `odonata` calls go to the main thread, and a dataspace is mapped
 * by laying its memory file over the guest's linear memory.
 */
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { WASI } from '../quiet-wasi.ts';
import type { Answer, GuestSetup, Request } from './one-node.ts';

const PROT_WRITE = 2;
const MAP_SHARED_FIXED = 0x11;
const MAP_PRIVATE_ANONYMOUS_FIXED = 0x32;
const ENOTSUP = 58;
const EINVAL = 28;
const EBADF = 8;
const ECHILD = 12;
const ESRCH = 71;
const EILSEQ = 25;
const ENAMETOOLONG = 37;
const EACCES = 2;
const ENOMEM = 48;
const RANGE_NAME_BYTES = 64;
const NAMED_MAX = 1_024;
const PAGE = 4096;

const libc = koffi.load('libc.so.6');
const mmap = libc.func(
  'intptr_t mmap(uintptr_t addr, size_t n, int prot, int flags, int fd, int64_t offset)',
);
const memchr = libc.func('uintptr_t memchr(const uint8_t *p, int c, size_t n)');

const setup = workerData as GuestSetup;
const port = parentPort!;
const answers = new Int32Array(setup.answer);
const answerWords = new BigUint64Array(setup.answer);
const opened = new Map<bigint, { fd: number; sizeBytes: bigint }>();
const named = new Set<string>();
let memory: WebAssembly.Memory;

/** Asks the main thread and sleeps until it answers. */
function ask(request: Request): Answer {
  Atomics.store(answers, 0, 0);
  port.postMessage(request);
  Atomics.wait(answers, 0, 0);
  return { errno: answers[1]!, words: [answerWords[1]!, answerWords[2]!, answerWords[3]!] };
}

/** Where linear memory lies in this process. It never moves: V8 reserves all of it at once. */
function memoryAddress(): bigint {
  const bytes = new Uint8Array(memory.buffer);
  const kept = bytes[0]!;
  bytes[0] = 1;
  const address = BigInt(memchr(bytes, 1, 1) as number | bigint);
  bytes[0] = kept;
  return address;
}

function mapAt(
  address: number,
  length: number,
  prot: number,
  flags: number,
  fd: number,
  offset: bigint,
): number {
  const at = memoryAddress() + BigInt(address >>> 0);
  return BigInt(mmap(at, length >>> 0, prot, flags, fd, offset) as number | bigint) === at ? 0 : EINVAL;
}

function inMemory(address: number, length: number): boolean {
  const aligned = address % PAGE === 0 && length % PAGE === 0 && length !== 0;
  return aligned && (address >>> 0) + (length >>> 0) <= memory.buffer.byteLength;
}

const odonata = {
  ds_open(name: number, nameLength: number, size: bigint, flags: number, out: number): number {
    const text = new TextDecoder().decode(new Uint8Array(memory.buffer, name >>> 0, nameLength).slice());
    const { errno, words } = ask({ call: 'open', name: text, sizeBytes: size, flags });
    if (errno !== 0) return errno;
    opened.set(words[0], { sizeBytes: words[1], fd: Number(words[2]) });
    new DataView(memory.buffer).setBigUint64(out >>> 0, words[0], true);
    new DataView(memory.buffer).setBigUint64((out >>> 0) + 8, words[1], true);
    return 0;
  },
  ds_map(id: bigint, address: number, length: number, offset: bigint, prot: number): number {
    const dataspace = opened.get(id);
    if (dataspace === undefined) return EBADF;
    const pages = (dataspace.sizeBytes + BigInt(PAGE - 1)) / BigInt(PAGE);
    if (!inMemory(address, length) || offset % BigInt(PAGE) !== 0n) return EINVAL;
    if (offset < 0n || offset + BigInt(length >>> 0) > pages * BigInt(PAGE)) return EINVAL;
    if (prot !== 1 && prot !== (1 | PROT_WRITE)) return EINVAL;
    return mapAt(address, length, prot, MAP_SHARED_FIXED, dataspace.fd, offset);
  },
  ds_unmap(address: number, length: number): number {
    if (!inMemory(address, length)) return EINVAL;
    return mapAt(address, length, 1 | PROT_WRITE, MAP_PRIVATE_ANONYMOUS_FIXED, -1, 0n);
  },
  ds_stat(id: bigint, out: number): number {
    const dataspace = opened.get(id);
    if (dataspace === undefined) return EBADF;
    new DataView(memory.buffer).setBigUint64(out >>> 0, dataspace.sizeBytes, true);
    const pages = (dataspace.sizeBytes + BigInt(PAGE - 1)) / BigInt(PAGE);
    new DataView(memory.buffer).setBigUint64((out >>> 0) + 8, pages, true);
    return 0;
  },
  lock(dataspace: bigint, begin: bigint, endInclusive: bigint, mode: number, timeoutMs: bigint): number {
    if (begin > endInclusive || mode < 1 || mode > 3) return EINVAL;
    return ask({ call: 'lock', dataspace, begin, endInclusive, shared: mode === 1, timeoutMs }).errno;
  },
  unlock(dataspace: bigint, begin: bigint, endInclusive: bigint): number {
    return ask({ call: 'unlock', dataspace, begin, endInclusive }).errno;
  },
  barrier(dataspace: bigint, name: bigint, count: number, generation: bigint, timeoutMs: bigint): number {
    if (count < 1 || count > 1_024) return EINVAL;
    return ask({ call: 'barrier', dataspace, name, count, generation, timeoutMs }).errno;
  },
  sync(): number {
    return ENOTSUP;
  },
  /** It may connect to nowhere. */
  connect(_address: number, length: number): number {
    return length === 0 ? EINVAL : EACCES;
  },
  listen: (_name: number, length: number) => (length === 0 ? EINVAL : EACCES),
  connect_name: (_name: number, length: number) => (length === 0 ? EINVAL : EACCES),
  /** It is alone. */
  spawn: () => ENOTSUP,
  wait: () => ECHILD,
  kill: () => ESRCH,
  identify: () => ESRCH,
  set_group: () => ESRCH,
  set_session: () => ENOTSUP,
  terminal_get: () => ENOTSUP,
  terminal_set: () => ENOTSUP,
  terminal_resize: () => ENOTSUP,
  terminal_foreground: () => ENOTSUP,
  pipe: () => ENOTSUP,
  dup: () => ENOTSUP,
  signal_action: () => ENOTSUP,
  signal_function: () => ENOTSUP,
  park_area: () => 0,
  /** Nobody reads the names. */
  name_range(id: bigint, offset: bigint, length: bigint, name: number, nameLength: number): number {
    const dataspace = opened.get(id);
    if (dataspace === undefined) return EBADF;
    if (offset < 0n || length <= 0n || offset + length > dataspace.sizeBytes) return EINVAL;
    if (nameLength > RANGE_NAME_BYTES) return ENAMETOOLONG;
    const bytes = Buffer.from(new Uint8Array(memory.buffer, name >>> 0, nameLength));
    if (!isUtf8(bytes)) return EILSEQ;
    const text = bytes.toString();
    if (/\p{Cc}/u.test(text)) return EINVAL;
    const range = `${id} ${offset} ${length}`;
    if (text === '') named.delete(range);
    else if (!named.has(range) && named.size >= NAMED_MAX) return ENOMEM;
    else named.add(range);
    return 0;
  },
  wait32(address: number, expected: number, timeoutNs: bigint): number {
    const place = placeOf(address);
    return place === undefined
      ? EINVAL
      : ask({ call: 'wait', ...place, expected: expected >>> 0, timeoutNs }).errno;
  },
  wake(address: number, count: number, out: number): number {
    const place = placeOf(address);
    if (place === undefined) return EINVAL;
    const { words } = ask({ call: 'wake', ...place, count: count >>> 0 });
    new DataView(memory.buffer).setUint32(out >>> 0, Number(words[0]), true);
    return 0;
  },
  node_id: () => 1,
  vkernel_id: () => 1,
  process_id: () => BigInt(setup.pid),
};

/** Mappings as they were made: the later one wins. */
const mappings: { id: bigint; begin: number; end: number; offset: bigint }[] = [];
const mapAndRemember = odonata.ds_map;
odonata.ds_map = (id, address, length, offset, prot) => {
  const errno = mapAndRemember(id, address, length, offset, prot);
  const begin = address >>> 0;
  if (errno === 0) mappings.unshift({ id, begin, end: begin + (length >>> 0), offset });
  return errno;
};

function placeOf(address: number): { dataspace: bigint; offset: bigint } | undefined {
  const at = address >>> 0;
  const mapping = mappings.find(({ begin, end }) => at >= begin && at + 4 <= end);
  if (mapping === undefined || at % 4 !== 0) return undefined;
  return { dataspace: mapping.id, offset: mapping.offset + BigInt(at - mapping.begin) };
}

const wasi = new WASI({
  version: 'preview1',
  args: [...setup.args],
  returnOnExit: true,
  stdin: setup.stdinFd,
  stdout: setup.stdoutFd,
  stderr: setup.stderrFd,
});
const module = new WebAssembly.Module(readFileSync(setup.wasmPath));
const imports = { ...wasi.getImportObject(), odonata } as unknown as WebAssembly.Imports;
const instance = new WebAssembly.Instance(module, imports);
memory = instance.exports.memory as WebAssembly.Memory;
// Not while this module is being evaluated: Node 24 dies of a failed check when a worker is terminated within that.
setImmediate(() => {
  try {
    port.postMessage({ call: 'exit', code: wasi.start(instance) } satisfies Request);
  } catch (error) {
    port.postMessage({ call: 'trap', message: (error as Error).message } satisfies Request);
  }
});
