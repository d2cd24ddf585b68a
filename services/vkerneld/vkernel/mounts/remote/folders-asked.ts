// The lines of a virtual kernel to folders on other nodes, by way of its supervisor. Each is open until it is closed, or the other side,
// the way there, or time ends it: what is open there ends with it. Every wait ends.
//
//   opening --opened--> open --closed, or who had it is gone--> gone
//       \________________________late________________________^

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  FileAnswer,
  FileCallSchema,
  FolderRequestSchema,
  FolderResponse,
} from '@odonata/proto/vkernel/v1/files';
import { FileOp } from '@odonata/proto/vkernel/v1/files';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Errno, WasiError } from '../../wasi/errno.ts';
import { fail } from '../tree.ts';

/** Longer than the supervisor waits for the other node. */
const OPEN_MS = 8_000;
const CALL_MS = 10_000;
/** As long as a disk may take for what was written. */
const SYNC_MS = 60_000;
/** These change nothing, or one file that is open, which knows it. */
const LOOKS: ReadonlySet<FileOp> = new Set([
  ...[FileOp.READ, FileOp.STAT, FileOp.STAT_PATH, FileOp.LIST, FileOp.READLINK, FileOp.CLOSE],
  ...[FileOp.WRITE, FileOp.SET_SIZE, FileOp.ALLOCATE, FileOp.SYNC, FileOp.SET_TIMES, FileOp.REOPEN],
]);
/** Folders that are open at one time. */
const LINES_MAX = 256;

export type Call = Omit<MessageInitShape<typeof FileCallSchema>, 'number' | '$typeName' | '$unknown'> & {
  readonly op: FileOp;
};
type Request = MessageInitShape<typeof FolderRequestSchema>;
type Send = (request: Request) => void;
type SendEvent = (event: NonNullable<Request['event']>) => void;

export class FoldersAsked {
  readonly #send: Send;
  readonly #lines = new Map<number, FolderLine>();
  #last = 0;

  constructor(send: Send) {
    this.#send = send;
  }

  /** Of a process, its folder of that number. @throws WasiError ENFILE */
  open(pid: bigint, place: number): FolderLine {
    if (this.#lines.size >= LINES_MAX) fail(Errno.nfile);
    this.#last = (this.#last + 1) % 2 ** 32;
    const folder = this.#last;
    const line = new FolderLine(
      (event) => this.#send({ folder, event }),
      () => this.#lines.delete(folder),
    );
    this.#lines.set(folder, line);
    this.#send({ folder, event: { case: 'open', value: { pid, place } } });
    return line;
  }

  answered({ folder, event }: FolderResponse): void {
    const line = this.#lines.get(folder);
    if (event.case === 'opened') line?.opened();
    else if (event.case === 'answer') line?.answered(event.value);
    else if (event.case === 'gone') line?.ended(event.value.errno || Errno.io);
  }

  /** Another supervisor knows nothing of what is open. */
  onReattached(): void {
    for (const line of [...this.#lines.values()]) line.ended(Errno.io);
  }
}

export class FolderLine {
  readonly #send: SendEvent;
  readonly #over: () => void;
  readonly #waiting = new Map<number, (answer: FileAnswer | number) => void>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #late: NodeJS.Timeout;
  #last = 0;
  /** Calls of paths that may have changed something: what was known before each may be another by now. */
  changes = 0;
  #isGone = false;

  constructor(send: SendEvent, over: () => void) {
    this.#send = send;
    this.#over = over;
    this.#opened.promise.catch(() => {});
    const late = ownTurn({ timer: 'folder' }, () => this.close());
    this.#late = setTimeout(late, OPEN_MS);
  }

  /** What was open there is open no more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** @throws WasiError as the other side says, EIO where it does not answer, ESTALE where it is gone since */
  async call(call: Call): Promise<FileAnswer> {
    if (this.#isGone) fail(Errno.stale);
    await this.#opened.promise;
    if (this.#isGone) fail(Errno.io);
    this.#last = (this.#last + 1) % 2 ** 32;
    const number = this.#last;
    const { promise, resolve } = Promise.withResolvers<FileAnswer | number>();
    // Whether it was done nobody knows: whatever is open there is as if its node were away.
    const late = ownTurn({ timer: 'folder-call' }, () => this.close());
    const timer = setTimeout(late, call.op === FileOp.SYNC ? SYNC_MS : CALL_MS);
    if (!LOOKS.has(call.op)) this.changes++;
    this.#waiting.set(number, resolve);
    this.#send({ case: 'call', value: { ...call, number } });
    const answer = await promise;
    clearTimeout(timer);
    if (typeof answer === 'number') return fail(answer);
    return answer.errno === Errno.success ? answer : fail(answer.errno);
  }

  opened(): void {
    clearTimeout(this.#late);
    this.#opened.resolve();
  }

  answered(answer: FileAnswer): void {
    const done = this.#waiting.get(answer.number);
    this.#waiting.delete(answer.number);
    done?.(answer);
  }

  /** Nobody needs it, or it is too late. */
  close(): void {
    if (this.#isGone) return;
    this.#send({ case: 'close', value: {} });
    this.ended(Errno.io);
  }

  ended(errno: number): void {
    if (this.#isGone) return;
    this.#isGone = true;
    clearTimeout(this.#late);
    this.#over();
    this.#opened.reject(new WasiError(errno));
    for (const done of [...this.#waiting.values()]) done(errno);
    this.#waiting.clear();
  }
}
