// Node's inspector of a process of ours, which SIGUSR1 opens: to collect its garbage, to see where its time goes.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where Node listens that was told nothing else. One process at a time. */
const INSPECTOR = '127.0.0.1:9229';
const OPEN_MS = 10_000;
const ANSWER_MS = 30_000;

export class Inspector {
  readonly #socket: WebSocket;
  #last = 0;

  /** @param pid of a Node process of ours; nothing else may listen at the inspector's port meanwhile */
  static async open(pid: number): Promise<Inspector> {
    const inspector = new Inspector(await connect(pid));
    const found = await inspector.evaluate('String(process.pid)');
    if (found === String(pid)) return inspector;
    inspector.#socket.close();
    throw new Error(`the inspector's port is of process ${found}, not of ${pid}`);
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** A method of the inspector's protocol, as `Profiler.start`. */
  async ask<T = unknown>(method: string, params = {}): Promise<T> {
    const id = ++this.#last;
    this.#socket.send(JSON.stringify({ id, method, params }));
    const signal = AbortSignal.timeout(ANSWER_MS);
    for (;;) {
      const [{ data }] = (await once(this.#socket, 'message', { signal })) as [MessageEvent<string>];
      const answer = JSON.parse(data);
      if (answer.id === id) return answer.result;
    }
  }

  async evaluate(expression: string): Promise<string> {
    return (await this.ask<{ result: { value: string } }>('Runtime.evaluate', { expression })).result.value;
  }

  async close(): Promise<void> {
    // Once this connection has ended: closing waits for all of them.
    await this.evaluate(`void setTimeout(() => process.getBuiltinModule('node:inspector').close(), 100)`);
    this.#socket.close();
    await sleep(300);
  }
}

async function connect(pid: number): Promise<WebSocket> {
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
