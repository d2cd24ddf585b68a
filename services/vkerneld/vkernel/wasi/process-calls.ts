// args_*, environ_*, clock_*, random_get, proc_*, sched_yield, and sock_*, which no descriptor of a program is for.

import { randomFillSync } from 'node:crypto';
import { clockNs, clockResolutionNs } from './clock.ts';
import { Errno } from './errno.ts';
import { type GuestMemory, utf8 } from './guest-memory.ts';
import type { Calls, System, Word } from './system.ts';

const randomChunkBytes = 65536;
/** What less than a quarter of it is taken from: to ask for few bytes takes as long as to ask for these. */
const pool = new Uint8Array(4096);
let poolLeft = 0;

/** Fresh bytes, which nothing here has any more once they are copied. */
function randomInto(memory: GuestMemory, at: number, length: number): void {
  if (poolLeft < length) {
    randomFillSync(pool);
    poolLeft = pool.length;
  }
  const bytes = pool.subarray(poolLeft - length, poolLeft);
  poolLeft -= length;
  memory.copyIn(at, bytes);
  bytes.fill(0);
}

const terminated = (word: Word): Uint8Array =>
  typeof word === 'string' ? utf8(`${word}\0`) : Buffer.concat([word, Buffer.of(0)]);

export function processCalls(system: System): Calls {
  const { memory } = system;
  const args = system.args.map(terminated);
  const env = system.env.map(terminated);

  function storeSizes(strings: readonly Uint8Array[], countAt: number, bytesAt: number): void {
    memory.setU32(countAt, strings.length);
    memory.setU32(
      bytesAt,
      strings.reduce((sum, bytes) => sum + bytes.length, 0),
    );
  }

  function store(strings: readonly Uint8Array[], pointersAt: number, bytesAt: number): void {
    let at = bytesAt;
    strings.forEach((bytes, i) => {
      memory.setU32(pointersAt + i * 4, at);
      memory.copyIn(at, bytes);
      at += bytes.length;
    });
  }

  return {
    args_sizes_get: (countAt: number, bytesAt: number) => storeSizes(args, countAt, bytesAt),
    args_get: (pointersAt: number, bytesAt: number) => store(args, pointersAt, bytesAt),
    environ_sizes_get: (countAt: number, bytesAt: number) => storeSizes(env, countAt, bytesAt),
    environ_get: (pointersAt: number, bytesAt: number) => store(env, pointersAt, bytesAt),
    clock_time_get: (clock: number, _precisionNs: bigint, at: number) => memory.setU64(at, clockNs(clock)),
    clock_res_get: (clock: number, at: number) => memory.setU64(at, clockResolutionNs(clock)),
    random_get: (at: number, length: number) => {
      memory.expectWritable(at, length);
      if (length <= pool.length / 4) return randomInto(memory, at, length);
      const chunk = new Uint8Array(Math.min(length, randomChunkBytes));
      for (let done = 0; done < length; done += chunk.length) {
        const piece = chunk.subarray(0, Math.min(chunk.length, length - done));
        memory.copyIn(at + done, randomFillSync(piece));
      }
    },
    proc_exit: (code: number) => system.exit(code),
    // A signal that a program raises for itself has no handler to go to.
    proc_raise: () => Errno.notsup,
    sched_yield: () => Errno.success,
  };
}
