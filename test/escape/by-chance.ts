// What a hostile virtual kernel says by chance: events of all kinds, with numbers that are or are not somebody's.
import type { Event, HostileVkernel, Known } from './hostile-vkernel.ts';

const PAGE = 4096n;

/** Says so many events, each session until it ends. @returns how many sessions it took */
export async function sayByChance(
  { seed, count }: { seed: number; count: number },
  begin: () => Promise<{ evil: HostileVkernel; known: Known }>,
): Promise<number> {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % below;
  };
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  let known: Known = { vmspace: 0n, dataspace: 0n, pid: 0n };
  const u64 = () =>
    pick([
      0n,
      1n,
      4095n,
      PAGE,
      1n << 32n,
      (1n << 53n) + 1n,
      1n << 63n,
      (1n << 64n) - 1n,
      known.vmspace,
      known.dataspace,
      known.pid,
      (1n << 64n) - PAGE,
    ]);
  const s64 = () => BigInt.asIntN(64, u64());
  const u32 = () => pick([0, 1, 2 ** 31, 2 ** 32 - 1, random(1_000)]);
  const text = () =>
    pick(['', 'board', 'read-me', 'bobs', '../x', '\u0000', '\u001b[2J', 'z'.repeat(70_000)]);
  const bool = () => random(2) === 0;
  const makers: (() => Event)[] = [
    () => ({ case: 'fault', value: { vmspace: u64(), address: u64(), write: bool(), atNs: u64() } }),
    () => ({ case: 'vmspaceCreate', value: { pid: u64(), sizeBytes: u64(), quotaFrames: u64() } }),
    () => ({ case: 'vmspaceDestroy', value: { vmspace: u64() } }),
    () => ({
      case: 'vmspaceMmap',
      value: {
        vmspace: u64(),
        address: u64(),
        lengthBytes: u64(),
        dataspace: u64(),
        offsetBytes: u64(),
        writable: bool(),
      },
    }),
    () => ({ case: 'vmspaceMunmap', value: { vmspace: u64(), address: u64(), lengthBytes: u64() } }),
    () => ({
      case: 'vmspaceMcontrol',
      value: { vmspace: u64(), address: u64(), lengthBytes: u64(), advice: random(4) },
    }),
    () => ({ case: 'frames', value: { want: u64(), giveBack: u64(), vmspace: u64(), full: bool() } }),
    () => ({
      case: 'open',
      value: { name: text(), sizeBytes: pick([0n, PAGE]), exclusive: bool(), durable: false, vmspace: u64() },
    }),
    () => ({
      case: 'lock',
      value: {
        request: u64(),
        dataspace: u64(),
        begin: s64(),
        end: s64(),
        mode: random(5),
        owner: u64(),
        timeoutMs: s64(),
        reclaim: bool(),
      },
    }),
    () => ({
      case: 'unlock',
      value: { request: u64(), dataspace: u64(), begin: s64(), end: s64(), owner: u64() },
    }),
    () => ({
      case: 'wait',
      value: { request: u64(), dataspace: u64(), offset: u64(), owner: u64(), timeoutMs: s64() } as never,
    }),
    () => ({ case: 'cancelWait', value: { request: u64() } }),
    () => ({
      case: 'barrier',
      value: {
        ...{ request: u64(), dataspace: u64(), name: s64(), count: u32(), generation: u64(), owner: u64() },
        ...{ timeoutMs: s64(), again: bool() },
      } as never,
    }),
    () => ({
      case: 'wake',
      value: { request: u64(), dataspace: u64(), offset: u64(), count: u32() } as never,
    }),
    () => ({ case: 'localFaults', value: { sampleNs: [u32(), u32()], count: u64(), pages: u64() } }),
    () => ({ case: 'sync', value: { dataspace: u64(), offset: u64(), length: u64() } }),
    () => ({ case: 'memoryEnd', value: { vmspace: u64(), reason: text() } }),
    () => undefined as never,
  ];
  let evil: HostileVkernel | undefined;
  let sessions = 0;
  for (let i = 0; i < count; i++) {
    if (evil === undefined || evil.isOver) {
      evil?.close();
      ({ evil, known } = await begin());
      sessions++;
    }
    try {
      evil.say(pick([0n, BigInt(i), u64()]), pick(makers)());
    } catch (error) {
      // What its own encoder does not say.
      if (!/cannot (encode|assign)|invalid/i.test(String(error))) throw error;
    }
    if (i % 50 === 49) await evil.ask({ case: 'frames', value: { want: 1n } });
  }
  return sessions;
}
