// The line to the thread that has the pmap of this program: questions with answers, and what it tells unasked.
import { basename } from 'node:path';
import { Worker } from 'node:worker_threads';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type {
  Opened,
  OpenRequest,
  PmapCall,
  PmapCalls,
  PmapReport,
  PmapThreadData,
} from './pmap-messages.ts';

/** How long the node may take to let us in, or to open something. */
const OPEN_MS = 10_000;
/** At the end of the process: until no thread of it waits in a fault any more. */
const END_MS = 2_000;

export interface PmapLineOptions {
  readonly address: string;
  readonly userfaultSocket: string;
  /** Who we are; absent: a cluster without identities. */
  readonly tlsDir: string | undefined;
  readonly person: string;
}

type OnBroken = (signal: string, reason: string) => void;
interface Asked {
  resolve(result: unknown): void;
  reject(error: RpcError): void;
}

let lines = 0;

/** `alice:server.ts-4711-1` */
function nameOf(person: string): string {
  const program = basename(process.argv[1] ?? 'node').replaceAll(/[^A-Za-z0-9._-]/g, '_');
  return `${person}:${program.slice(-40)}-${process.pid}-${++lines}`;
}

export class PmapLine {
  readonly #worker: Worker;
  readonly #ended = new Int32Array(new SharedArrayBuffer(4));
  readonly #asked = new Map<number, Asked>();
  readonly #opened = new Map<number, OnBroken>();
  /** Of what was not told to be open yet. */
  readonly #brokenEarly = new Map<number, [signal: string, reason: string]>();
  #last = 0;
  #over: RpcError | undefined;
  readonly #atExit = (): void => {
    // Another thread of the program may wait in a fault, and Node waits for its end.
    this.#worker.postMessage({ id: 0, call: 'end', args: {} });
    Atomics.wait(this.#ended, 0, 0, END_MS);
  };

  constructor({ address, userfaultSocket, tlsDir, person }: PmapLineOptions) {
    const workerData: PmapThreadData = {
      ...{ address, userfaultSocket, tlsDir, deadlineMs: OPEN_MS, ended: this.#ended },
      name: nameOf(person),
    };
    this.#worker = new Worker(new URL('./pmap-thread.ts', import.meta.url), {
      ...{ workerData, name: 'pmap' },
      // Descriptors come from the pmap manager, and not from Node.
      trackUnmanagedFds: false,
    });
    this.#worker.unref();
    this.#worker.on('message', (report: PmapReport) => this.#hear(report));
    this.#worker.on('error', (error) => this.#end(`its pmap failed: ${String(error)}`, error));
    this.#worker.on('exit', () => this.#end('its pmap ended'));
    process.on('exit', this.#atExit);
  }

  /** Nothing can be asked any more. */
  get isOver(): boolean {
    return this.#over !== undefined;
  }

  call<C extends PmapCall>(call: C, args: PmapCalls[C]['args']): Promise<PmapCalls[C]['result']> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve: resolve as (result: unknown) => void, reject });
      this.#worker.postMessage({ id, call, args });
    });
  }

  /** @param onBroken called once, unless it is closed before. @throws RpcError */
  async open(request: OpenRequest, onBroken: OnBroken, signal?: AbortSignal): Promise<Opened> {
    const opening = this.call('open', request);
    const opened = await orLate(opening, request.name, signal).catch((error) => {
      // Nobody has it.
      opening.then(({ handle }) => this.call('close', { handle })).catch(() => {});
      throw error;
    });
    const early = this.#brokenEarly.get(opened.handle);
    this.#brokenEarly.delete(opened.handle);
    if (early !== undefined) onBroken(...early);
    else this.#opened.set(opened.handle, onBroken);
    return opened;
  }

  async closeOne(handle: number): Promise<void> {
    this.#opened.delete(handle);
    if (this.#over === undefined) await this.call('close', { handle });
  }

  /** Nothing stays mapped: what is read there is not memory of the cluster any more. */
  async close(): Promise<void> {
    this.#opened.clear();
    if (this.#over !== undefined) return;
    // A pmap manager that is stopped does not answer; nothing is mapped by then.
    const answered = new AbortController();
    const end = this.call('end', {}).catch(() => {});
    await Promise.race([end, delay(END_MS, answered.signal)]);
    answered.abort();
    this.#end('it was closed');
    await this.#worker.terminate();
  }

  #hear(report: PmapReport): void {
    if ('broken' in report) {
      const { broken, signal, reason } = report;
      const onBroken = this.#opened.get(broken);
      this.#opened.delete(broken);
      if (onBroken === undefined) this.#brokenEarly.set(broken, [signal, reason]);
      else onBroken(signal, reason);
      return;
    }
    const asked = this.#asked.get(report.id);
    this.#asked.delete(report.id);
    if ('failure' in report) asked?.reject(new RpcError(report.failure.code, report.failure.details));
    else asked?.resolve(report.result);
  }

  #end(reason: string, cause?: unknown): void {
    if (this.#over !== undefined) return;
    this.#over = new RpcError(Code.Unavailable, reason, { cause });
    process.off('exit', this.#atExit);
    for (const { reject } of this.#asked.values()) reject(this.#over);
    this.#asked.clear();
    for (const onBroken of this.#opened.values()) onBroken('SIGKILL', reason);
    this.#opened.clear();
  }
}

/** @throws RpcError CANCELLED, DEADLINE_EXCEEDED */
async function orLate<T>(promise: Promise<T>, name: string, signal: AbortSignal | undefined): Promise<T> {
  const late = Promise.withResolvers<never>();
  const fail = (code: Code, details: string) => late.reject(new RpcError(code, details));
  const timer = setTimeout(
    () => fail(Code.DeadlineExceeded, `dataspace ${name} was not opened within ${OPEN_MS / 1000} s`),
    OPEN_MS + 1_000,
  );
  const abort = () => fail(Code.Cancelled, 'cancelled by the caller');
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}
