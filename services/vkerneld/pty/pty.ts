// A terminal of a session: between those who look at it, and the processes whose standard streams it is. It is at the node of the
// process that it was made for, which leads the session.
//
//   who looks --typed--> line discipline --lines, bytes--> standard input of the leader, which its children read, too
//      ^                      | echo, signals to the foreground
//      `------- shown --------+------- output of all of them

import type { Output, RunRequest } from '@odonata/proto/vkernel/v1/vkernel';
import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { metBug, ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { Response } from '../output-backlog.ts';
import type { ExitInit, Process, Watcher } from '../process-table.ts';
import type { Asking } from '../relatives/asking.ts';
import { checkSignal } from '../signals.ts';
import { nameOfKey } from '../vkernel-child.ts';
import type { Vkernels } from '../vkernels.ts';
import { LineDiscipline } from './line-discipline.ts';
import { initialSettings, type TerminalSettings, type TerminalSize } from './settings.ts';
import { SignalPace } from './signal-pace.ts';
import { Viewer } from './viewer.ts';

/** Typed and not read: then whoever types waits. */
const UNREAD_BYTES = 64 * 1024;
/** Who may look at one terminal at one time. */
const VIEWERS_MAX = 16;
const SIZE_MAX = 65_535;

export interface PtyPlace {
  readonly node: string;
  readonly vkernels: Vkernels;
  /** To all processes of a group, on whatever nodes. */
  readonly signalGroup: (asking: Asking, group: bigint, signal: string) => void;
  /** The groups of a session that have processes here. */
  readonly groupsOf: (session: bigint) => bigint[];
}

export class Pty implements Watcher {
  readonly process: Process;
  readonly #place: PtyPlace;
  readonly #over: () => void;
  readonly #discipline = new LineDiscipline(initialSettings);
  readonly #viewers = new Set<Viewer>();
  readonly #exit = Promise.withResolvers<ExitInit>();
  readonly #started = Promise.withResolvers<void>();
  readonly #pace = new SignalPace((signal) => {
    if (!this.#isOver) this.#signal(this.foreground, signal);
  });
  #isOver = false;
  #size: TerminalSize;
  /** The group that signals go to, and that may read. */
  foreground: bigint;
  #unread = 0;
  #drained: (() => void) | undefined;
  /** Bytes of programs that nobody was shown yet, at the most. */
  #untaken = 0;

  constructor(place: PtyPlace, process: Process, size: TerminalSize, over: () => void) {
    this.#place = place;
    this.process = process;
    this.#size = size;
    this.#over = over;
    this.foreground = process.pid;
    process.watcher = this;
  }

  get settings(): TerminalSettings {
    return this.#discipline.settings;
  }

  get size(): TerminalSize {
    return this.#size;
  }

  /** Settings and size as programs ask for them. @param flush what was typed and not read is gone */
  change(settings: TerminalSettings, flush: boolean): void {
    if (flush) this.#flush();
    const typed = this.#discipline.change(settings);
    if (typed !== undefined && !flush) this.#give(typed);
  }

  resize({ rows, columns }: TerminalSize): void {
    if (rows > SIZE_MAX || columns > SIZE_MAX) return;
    if (rows === this.#size.rows && columns === this.#size.columns) return;
    this.#size = { rows, columns };
    this.#pace.signal('SIGWINCH');
  }

  // ---- what the process does

  started(): void {
    this.#started.resolve();
  }

  output({ data }: Output): boolean {
    if (this.#viewers.size === 0) return false;
    const shown = this.#discipline.output(data);
    for (const viewer of this.#viewers) viewer.show(shown, data.length);
    this.#untaken += data.length;
    return true;
  }

  inputTaken(bytes: number): void {
    this.#unread = Math.max(0, this.#unread - bytes);
    this.#drained?.();
  }

  exited(exit: ExitInit): void {
    this.#isOver = true;
    this.#exit.resolve(exit);
    this.#started.resolve();
    this.#drained?.();
    for (const viewer of this.#viewers) viewer.end();
    // As POSIX has it for the end of a session's leader: others go on, without a terminal.
    this.#hangUp([this.foreground]);
    this.#over();
  }

  /** To all of its session, wherever they are: whoever is stopped hears it, too. */
  hangUp(): void {
    this.#hangUp(new Set([...this.#place.groupsOf(this.process.pid), this.foreground]));
  }

  #hangUp(groups: Iterable<bigint>): void {
    for (const group of groups) for (const signal of ['SIGHUP', 'SIGCONT']) this.#signal(group, signal);
  }

  #signal(group: bigint, signal: string): void {
    const { user, vkernel } = this.process;
    this.#place.signalGroup({ user, vkernel: nameOfKey(vkernel) }, group, signal);
  }

  // ---- who looks

  /** Until the end, or until they leave. @param isOwn the one that it was made for: when it is gone, the line is dead */
  async *serve(
    requests: AsyncIterator<RunRequest>,
    ctx: CallContext,
    isOwn: boolean,
  ): AsyncGenerator<Response> {
    if (this.#viewers.size >= VIEWERS_MAX)
      throw new RpcError(Code.ResourceExhausted, `${VIEWERS_MAX} look at this terminal already`);
    const viewer = new Viewer(() => this.#tookMore());
    this.#viewers.add(viewer);
    const left = ownTurn({ pid: this.process.pid }, () => this.#left(viewer, ctx, isOwn));
    if (ctx.signal.aborted) left();
    else ctx.signal.addEventListener('abort', left, { once: true });
    try {
      await this.#started.promise;
      if (!this.#isOver) {
        yield { event: { case: 'started', value: this.#start } };
        this.#read(requests, viewer).catch((error: unknown) => {
          if (!ctx.signal.aborted && !RpcError.is(error)) metBug(ctx.log, error, { pid: this.process.pid });
          viewer.end();
        });
      }
      for await (const data of viewer.pieces())
        yield { event: { case: 'output', value: { stream: StdStream.OUT, data } } };
      if (this.#isOver) yield { event: { case: 'exited', value: await this.#exit.promise } };
    } finally {
      this.#viewers.delete(viewer);
      this.#tookMore();
    }
  }

  get #start() {
    const { pid, vkernel } = this.process;
    return { pid, node: this.#place.node, vkernel: nameOfKey(vkernel), resumable: false };
  }

  async #read(requests: AsyncIterator<RunRequest>, viewer: Viewer): Promise<void> {
    while (!viewer.isOver) {
      const next = await requests.next();
      if (next.done || viewer.isOver) return;
      const { event } = next.value;
      switch (event.case) {
        case 'stdin':
          await this.#typed(event.value);
          break;
        case 'stdinEnd':
          this.#give('end');
          break;
        case 'resize':
          this.resize(event.value);
          break;
        case 'detach':
          this.#viewers.delete(viewer);
          viewer.end();
          return;
        case 'signal':
          this.#tell({ case: 'signal', value: { pid: this.process.pid, signal: checkSignal(event.value) } });
          break;
        default: // of a later version
      }
    }
  }

  async #typed(data: Uint8Array): Promise<void> {
    const { echo, pieces, signals, flushes } = this.#discipline.input(data);
    if (flushes) this.#flush();
    if (echo.length > 0) for (const viewer of this.#viewers) viewer.show(echo, 0);
    for (const signal of signals) this.#pace.signal(signal);
    for (const piece of pieces) this.#give(piece);
    while (this.#unread > UNREAD_BYTES && !this.#isOver)
      await new Promise<void>((resolve) => {
        const other = this.#drained;
        this.#drained = () => {
          other?.();
          resolve();
        };
      });
    this.#drained = undefined;
  }

  #give(piece: Uint8Array | 'end'): void {
    const { pid } = this.process;
    if (piece === 'end') {
      this.#tell({ case: 'input', value: { pid, endOnce: true } });
      return;
    }
    this.#unread += piece.length;
    this.#tell({ case: 'input', value: { pid, data: piece } });
  }

  #flush(): void {
    this.#unread = 0;
    this.#drained?.();
    this.#tell({ case: 'input', value: { pid: this.process.pid, flush: true } });
  }

  #tell(order: Parameters<Vkernels['tell']>[1]): void {
    if (!this.#isOver) this.#place.vkernels.tell(this.process, order);
  }

  /** What all have that look may be written anew. */
  #tookMore(): void {
    const viewers = [...this.#viewers];
    const taken = viewers.length === 0 ? this.#untaken : Math.min(...viewers.map((each) => each.takenBytes));
    const bytes = Math.min(taken, this.#untaken);
    if (bytes <= 0) return;
    this.#untaken -= bytes;
    for (const viewer of viewers) viewer.takenBytes -= bytes;
    const { pid } = this.process;
    this.#tell({ case: 'outputTaken', value: { pid, takenBytes: BigInt(bytes) } });
  }

  #left(viewer: Viewer, { signal: { reason } }: CallContext, isOwn: boolean): void {
    const isThere = this.#viewers.delete(viewer);
    viewer.end();
    this.#tookMore();
    const byRouter = RpcError.is(reason) && reason.code === Code.Unavailable;
    if (isThere && isOwn && !byRouter && this.#viewers.size === 0 && !this.#isOver) this.hangUp();
  }
}
