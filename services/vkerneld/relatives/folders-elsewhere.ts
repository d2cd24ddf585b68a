// Folders on other nodes, for virtual kernels here: a stream to that node's supervisor each, which a virtual kernel opens for a process
// that was granted the folder, and which ends with it. What waits here is bounded: a virtual kernel that sends more than one call a
// thread takes loses its folders, and answers come no faster than it takes them.

import type { FileCall, FolderRequest } from '@odonata/proto/vkernel/v1/files';
import type { Asker, OpenFolderResponse } from '@odonata/proto/vkernel/v1/peer';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { BoundedQueue } from '@odonata/rpc/queue.ts';
import type { Dir, Process, ProcessTable } from '../process-table.ts';
import { Errno } from '../vkernel/wasi/errno.ts';
import { nameOfKey, type VkernelChild } from '../vkernel-child.ts';
import type { Peers } from './peers.ts';

/** The other node has opened it by then, or is away. */
const OPEN_MS = 5_000;
/** Of one virtual kernel. */
const FOLDERS_MAX = 256;
/** Calls of one virtual kernel that were not sent on yet: its threads wait, each with one. */
const WAITING_BYTES = 32 << 20;
const CALL_BYTES = 256;

type RemoteDir = Dir & { readonly node: string };
type Who = Pick<Asker, 'user' | 'vkernel' | 'groups'>;

export const remoteDirs = (dirs: readonly Dir[]): RemoteDir[] =>
  dirs.filter((dir): dir is RemoteDir => (dir.node ?? '') !== '');

const errnoOfCode: Partial<Record<Code, number>> = {
  [Code.PermissionDenied]: Errno.acces,
  [Code.NotFound]: Errno.noent,
  [Code.InvalidArgument]: Errno.inval,
  [Code.ResourceExhausted]: Errno.nfile,
};

interface Line {
  readonly calls: BoundedQueue<FileCall>;
  readonly over: AbortController;
  bytes: number;
}

export class FoldersElsewhere {
  readonly #node: number;
  readonly #peers: Peers;
  readonly #table: ProcessTable;
  readonly #log: Logger;
  readonly #lines = new Map<VkernelChild, Map<number, Line>>();

  constructor(options: { node: number; peers: Peers; table: ProcessTable; log: Logger }) {
    this.#node = options.node;
    this.#peers = options.peers;
    this.#table = options.table;
    this.#log = options.log;
  }

  /** What a program asks for is refused before it starts. @throws RpcError as that node says */
  async expectOpen(who: Who, dirs: readonly Dir[]): Promise<void> {
    const opens = remoteDirs(dirs).map(async (dir) => {
      const over = new AbortController();
      try {
        await this.#open(who, dir, noCalls(over.signal), over);
      } finally {
        over.abort();
      }
    });
    await Promise.all(opens);
  }

  /** What a virtual kernel says. */
  receive(child: VkernelChild, { folder, event }: FolderRequest): void {
    const lines = this.#lines.get(child) ?? new Map<number, Line>();
    this.#lines.set(child, lines);
    const line = lines.get(folder);
    switch (event.case) {
      case 'open': {
        const dir = this.#granted(child, event.value);
        if (dir === undefined || line !== undefined) this.#gone(child, folder, Errno.acces);
        else if (lines.size >= FOLDERS_MAX) this.#gone(child, folder, Errno.nfile);
        else void this.#run(child, folder, dir, lines);
        return;
      }
      case 'call': {
        if (line === undefined) {
          this.#gone(child, folder, Errno.stale);
          return;
        }
        const bytes = event.value.data.length + CALL_BYTES;
        const waiting = [...lines.values()].reduce((sum, each) => sum + each.bytes, bytes);
        if (waiting > WAITING_BYTES || line.over.signal.aborted) {
          line.over.abort();
          return;
        }
        line.bytes += bytes;
        line.calls.offer(event.value);
        return;
      }
      case 'close':
        line?.over.abort();
        return;
      case undefined:
        return;
    }
  }

  /** Its line is another one, or it is over. */
  lost(child: VkernelChild): void {
    for (const line of this.#lines.get(child)?.values() ?? []) line.over.abort();
    this.#lines.delete(child);
  }

  /** A virtual kernel reaches what its processes that run were granted. */
  #granted(child: VkernelChild, { pid, place }: { pid: bigint; place: number }): RemoteDir | undefined {
    const process: Process | undefined = this.#table.find(pid);
    if (process?.vkernel !== child.key || process.exit !== undefined) return undefined;
    return remoteDirs(process.dirs)[place];
  }

  async #run(child: VkernelChild, folder: number, dir: RemoteDir, lines: Map<number, Line>): Promise<void> {
    const over = new AbortController();
    const calls = new BoundedQueue<FileCall>({
      ...{ name: 'calls of a folder', capacity: WAITING_BYTES },
      weigh: ({ data }) => data.length + CALL_BYTES,
    });
    const line: Line = { calls, over, bytes: 0 };
    over.signal.addEventListener('abort', () => calls.close());
    lines.set(folder, line);
    const { user, groups } = child.record;
    let errno: number = Errno.io;
    try {
      const who = { user, groups, vkernel: nameOfKey(child.key) };
      const answers = await this.#open(who, dir, callsOf(line), over);
      child.send({ case: 'folderResponse', value: { folder, event: { case: 'opened', value: {} } } });
      for (let next = await answers.next(); !next.done && !over.signal.aborted; next = await answers.next()) {
        const { event } = next.value;
        if (event.case === 'answer') child.send({ case: 'folderResponse', value: { folder, event } });
        await child.drained(over.signal);
      }
    } catch (error) {
      const { code } = RpcError.is(error) ? error : { code: Code.Internal };
      errno = errnoOfCode[code] ?? Errno.io;
      this.#log.debug({ err: error, node: dir.node, vkernel: child.key }, 'a folder elsewhere is gone');
    } finally {
      over.abort();
      if (lines.get(folder) === line) lines.delete(folder);
    }
    this.#gone(child, folder, errno);
  }

  /** Resolves when it is open. @throws RpcError */
  async #open(
    who: Who,
    { node, hostPath, readOnly, home = false }: RemoteDir,
    calls: AsyncIterable<FileCall>,
    over: AbortController,
  ): Promise<AsyncIterator<OpenFolderResponse>> {
    let isLate = false;
    const late = ownTurn({ timer: 'folder', node }, () => {
      isLate = true;
      over.abort();
    });
    const timer = setTimeout(late, OPEN_MS);
    try {
      const peer = await this.#peers.byName(node);
      const start = { asker: { ...who, node: this.#node }, folder: { hostPath, readOnly, home } };
      const requests = requestsOf(start, calls);
      // Calls have numbers, and what lasts brings each once: none is done twice where a router dies.
      const options = { signal: over.signal, lasting: 'with-caller' as const };
      const answers = peer.client.openFolder(requests, options)[Symbol.asyncIterator]();
      const first = await answers.next();
      if (first.done || first.value.event.case !== 'opened')
        throw new RpcError(Code.Internal, `node ${node} did not say that it opened ${hostPath}`);
      return answers;
    } catch (error) {
      if (!isLate) throw error;
      throw new RpcError(
        Code.Unavailable,
        `node ${node} did not open ${hostPath || 'a home'} within ${OPEN_MS / 1_000} s`,
      );
    } finally {
      clearTimeout(timer);
    }
  }

  #gone(child: VkernelChild, folder: number, errno: number): void {
    try {
      child.send({ case: 'folderResponse', value: { folder, event: { case: 'gone', value: { errno } } } });
    } catch (error) {
      // Without a line it knows by itself.
      this.#log.debug({ err: error, vkernel: child.key }, 'a virtual kernel is not told of a folder');
    }
  }
}

type Start = {
  asker: Who & { node: number };
  folder: { hostPath: string; readOnly: boolean; home: boolean };
};

async function* requestsOf(start: Start, calls: AsyncIterable<FileCall>) {
  yield { event: { case: 'start' as const, value: start } };
  for await (const call of calls) yield { event: { case: 'call' as const, value: call } };
}

async function* callsOf(line: Line): AsyncGenerator<FileCall> {
  for await (const call of line.calls) {
    line.bytes -= call.data.length + CALL_BYTES;
    yield call;
  }
}

/** None, for as long as it is open. */
async function* noCalls(over: AbortSignal): AsyncGenerator<FileCall> {
  if (!over.aborted) await new Promise((resolve) => over.addEventListener('abort', resolve, { once: true }));
  yield* [];
}
