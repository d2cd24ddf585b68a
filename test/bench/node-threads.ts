// A program of several threads on Node alone: its threads are worker threads, its memory is a shared WebAssembly.Memory. As little
// of WASI as the kernel `threads` needs.
//
//   node test/bench/node-threads.ts PROGRAM.wasm [ARGUMENT]…
import { readFileSync, writeSync } from 'node:fs';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

interface Shared {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly thread: Int32Array;
  readonly words: readonly string[];
}

const PAGES = { initial: 64, maximum: 64 } as const;

const THREAD_CPUTIME = 3;

function cpuNs(): bigint {
  const { user, system } = process.threadCpuUsage();
  return BigInt(user + system) * 1000n;
}

function imports({ module, memory, thread, words }: Shared): WebAssembly.Imports {
  const view = new DataView(memory.buffer);
  const bytes = new Uint8Array(memory.buffer);
  const argv = words.map((word) => Buffer.from(`${word}\0`));
  return {
    env: { memory },
    wasi: {
      'thread-spawn': (argument: number) => {
        const number = Atomics.add(thread, 0, 1) + 1;
        const data = { module, memory, thread, words, start: [number, argument] };
        new Worker(import.meta.filename, { workerData: data });
        return number;
      },
    },
    wasi_snapshot_preview1: {
      args_sizes_get: (countAt: number, bytesAt: number) => {
        view.setUint32(countAt, argv.length, true);
        view.setUint32(bytesAt, Buffer.concat(argv).length, true);
        return 0;
      },
      args_get: (pointersAt: number, at: number) => {
        let to = at;
        argv.forEach((word, i) => {
          view.setUint32(pointersAt + i * 4, to, true);
          bytes.set(word, to);
          to += word.length;
        });
        return 0;
      },
      clock_time_get: (clock: number, _precision: bigint, at: number) => {
        view.setBigUint64(at, clock === THREAD_CPUTIME ? cpuNs() : process.hrtime.bigint(), true);
        return 0;
      },
      fd_write: (fd: number, at: number) => {
        const from = view.getUint32(at, true);
        writeSync(fd, Buffer.from(bytes.slice(from, from + view.getUint32(at + 4, true))));
        return 0;
      },
      proc_exit: (code: number) => process.exit(code),
    },
  };
}

if (isMainThread) {
  const [path = '', ...args] = process.argv.slice(2);
  const module = new WebAssembly.Module(readFileSync(path));
  const memory = new WebAssembly.Memory({ ...PAGES, shared: true });
  const shared = { module, memory, thread: new Int32Array(new SharedArrayBuffer(4)), words: [path, ...args] };
  const { exports } = new WebAssembly.Instance(module, imports(shared));
  (exports._start as () => void)();
} else {
  const { start, ...shared } = workerData as Shared & { start: [number, number] };
  const { exports } = new WebAssembly.Instance(shared.module, imports(shared));
  (exports.wasi_thread_start as (thread: number, argument: number) => void)(...start);
}
