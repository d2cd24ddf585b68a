// A bug in one thread of a process, thrown from outside: by the inspector of that process, which SIGUSR1 starts.
import { setTimeout as sleep } from 'node:timers/promises';

/** Node's own. */
const INSPECTOR = 'http://127.0.0.1:9229';
const START_MS = 5_000;
const ANSWER_MS = 5_000;

/** @param thread what its name begins with. @throws Error where nobody is there, or another process is inspected */
export async function throwInThread(pid: number, thread: string): Promise<void> {
  if ((await targets()) !== undefined) throw new Error(`somebody else is inspected at ${INSPECTOR}`);
  process.kill(pid, 'SIGUSR1');
  const endMs = Date.now() + START_MS;
  let found = await targets();
  for (; found === undefined && Date.now() < endMs; found = await targets()) await sleep(50);
  const [target] = found ?? [];
  if (target === undefined) throw new Error(`process ${pid} starts no inspector`);
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  const { promise: thrown, resolve, reject } = Promise.withResolvers<void>();
  const late = setTimeout(() => reject(new Error(`no thread "${thread}"`)), ANSWER_MS);
  const send = (id: number, method: string, params: object) =>
    socket.send(JSON.stringify({ id, method, params }));
  socket.onopen = () => send(1, 'NodeWorker.enable', { waitForDebuggerOnStart: false });
  socket.onmessage = ({ data }) => {
    const { method, params } = JSON.parse(String(data)) as {
      method?: string;
      params?: { sessionId: string; workerInfo?: { title: string } };
    };
    if (method !== 'NodeWorker.attachedToWorker' || !params?.workerInfo?.title.includes(thread)) return;
    const expression = "setTimeout(() => { throw new Error('a bug of theirs'); })";
    const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } });
    send(2, 'NodeWorker.sendMessageToWorker', { sessionId: params.sessionId, message });
    setTimeout(resolve, 500);
  };
  try {
    await thrown;
  } finally {
    clearTimeout(late);
    socket.close();
  }
}

async function targets(): Promise<{ webSocketDebuggerUrl: string }[] | undefined> {
  try {
    return (await (await fetch(`${INSPECTOR}/json`)).json()) as { webSocketDebuggerUrl: string }[];
  } catch {
    return undefined;
  }
}
