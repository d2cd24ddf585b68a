// What a process keeps for good: what is left of its heap after a full collection, which Node's inspector makes. What is resident
// says less: garbage of a burst, and pages that V8 keeps for the next one, are in it.
import { setTimeout as sleep } from 'node:timers/promises';
import { Inspector } from '../inspector.ts';

export interface LiveMemory {
  /** Objects of V8. */
  readonly heapMib: number;
  /** Buffers and the like. */
  readonly externalMib: number;
}

/** @param pid of a Node process of ours */
export async function liveMemoryOf(pid: number): Promise<LiveMemory> {
  const inspector = await Inspector.open(pid);
  try {
    // What finalizers free is gone after the second one.
    for (let round = 0; round < 2; round++) {
      await inspector.ask('HeapProfiler.collectGarbage');
      await sleep(100);
    }
    const used = JSON.parse(await inspector.evaluate('JSON.stringify(process.memoryUsage())'));
    return { heapMib: used.heapUsed / 2 ** 20, externalMib: used.external / 2 ** 20 };
  } finally {
    await inspector.close();
  }
}
