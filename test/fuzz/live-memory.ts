// What a process keeps for good: what is left of its heap after a full collection, which Node's inspector makes. What is resident
// says less: garbage of a burst, and pages that V8 keeps for the next one, are in it.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where Node listens that was told nothing else. */
const INSPECTOR = '127.0.0.1:9229';
const OPEN_MS = 10_000;
const ANSWER_MS = 30_000;

export interface LiveMemory {
  /** Objects of V8. */
  readonly heapMib: number;
  /** Buffers and the like. */
  readonly externalMib: number;
}

/** @param pid of a Node process of ours; nothing else may listen at the inspector's port meanwhile */
export async function liveMemoryOf(pid: number): Promise<LiveMemory> {
  const socket = await openInspector(pid);
  let last = 0;
  const ask = async (method: string, params = {}): Promise<{ result: { value: string } }> => {
    const id = ++last;
    socket.send(JSON.stringify({ id, method, params }));
    const signal = AbortSignal.timeout(ANSWER_MS);
    for (;;) {
      const [{ data }] = (await once(socket, 'message', { signal })) as [MessageEvent<string>];
      const answer = JSON.parse(data);
      if (answer.id === id) return answer.result;
    }
  };
  const evaluate = async (expression: string): Promise<string> =>
    (await ask('Runtime.evaluate', { expression })).result.value;
  try {
    const found = await evaluate('String(process.pid)');
    if (found !== String(pid)) throw new Error(`the inspector's port is of process ${found}, not of ${pid}`);
    // What finalizers free is gone after the second one.
    for (let round = 0; round < 2; round++) {
      await ask('HeapProfiler.collectGarbage');
      await sleep(100);
    }
    const used = JSON.parse(await evaluate('JSON.stringify(process.memoryUsage())'));
    return { heapMib: used.heapUsed / 2 ** 20, externalMib: used.external / 2 ** 20 };
  } finally {
    // Once this connection has ended: closing waits for all of them.
    await evaluate(`void setTimeout(() => process.getBuiltinModule('node:inspector').close(), 100)`);
    socket.close();
    await sleep(300);
  }
}

async function openInspector(pid: number): Promise<WebSocket> {
  const untilMs = performance.now() + OPEN_MS;
  process.kill(pid, 'SIGUSR1');
  for (;;) {
    await sleep(50);
    try {
      const targets = (await (await fetch(`http://${INSPECTOR}/json/list`)).json()) as {
        webSocketDebuggerUrl: string;
      }[];
      const socket = new WebSocket(targets[0]!.webSocketDebuggerUrl);
      await once(socket, 'open');
      return socket;
    } catch (error) {
      if (performance.now() > untilMs)
        throw new Error(`the inspector of process ${pid} does not open`, { cause: error });
    }
  }
}
