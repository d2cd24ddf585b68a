// Snapshots of this node's processes: between whoever asks for one, and the virtual kernel that holds the process meanwhile.
//
//   caller: begin ------------------------------------------------> done
//   us:             held (from now on nothing changes), module...         released (nothing changed until now)
//
// The memory is read from the pmap manager meanwhile, by the caller. However this ends, the process goes on: when the caller is gone,
// when we are (the virtual kernel sees that), and after 60 s.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  SnapshotOrderSchema,
  SnapshotRequest,
  SnapshotResponseSchema,
  SnapshotTold,
} from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { shownCaller } from '@odonata/rpc/identity/identity.ts';
import type { LimitsLog } from '@odonata/rpc/limits.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { Process, ProcessTable } from './process-table.ts';
import type { Vkernels } from './vkernels.ts';

/** Each holds a program. */
export const UNDER_WAY_MAX = 16;
const TIMEOUT_MS = 30_000;
/** What a virtual kernel does not wait with. */
const ANSWER_MS = 10_000;

type Response = MessageInitShape<typeof SnapshotResponseSchema>;
type Order = NonNullable<MessageInitShape<typeof SnapshotOrderSchema>['what']>;
type Told = SnapshotTold['what'];

export interface SnapshotPlace {
  readonly node: string;
  readonly table: ProcessTable;
  readonly vkernels: Vkernels;
  /** That run, or that nobody waited for. */
  readonly childrenOf: (pid: bigint) => number;
  /** Where it is told that somebody was refused. */
  readonly limits?: LimitsLog;
}

interface UnderWay {
  readonly process: Process;
  /** What is told next. */
  told: PromiseWithResolvers<Told>;
  /** It came to nothing. */
  readonly over: PromiseWithResolvers<never>;
}

export class Snapshots {
  readonly #place: SnapshotPlace;
  readonly #underWay = new Map<number, UnderWay>();
  #last = 0;

  constructor(place: SnapshotPlace) {
    this.#place = place;
    place.vkernels.onSnapshot = (process, told) => this.#told(process, told);
  }

  async *take(requests: AsyncIterable<SnapshotRequest>, ctx: CallContext): AsyncGenerator<Response> {
    const iterator = requests[Symbol.asyncIterator]();
    const first = await nextOf(iterator);
    if (first.case !== 'begin')
      throw new RpcError(Code.InvalidArgument, 'the first request must begin the snapshot');
    const { pid, timeoutMs } = first.value;
    const { table, node, limits } = this.#place;
    const process = table.runningOfTheirs(pid, node, ctx);
    if (this.#underWay.size >= UNDER_WAY_MAX) {
      const text = `${UNDER_WAY_MAX} snapshots are being taken on ${node}; try again soon`;
      limits?.count('snapshots', shownCaller(ctx.caller), text, { node, pid });
      throw tryAgain(Code.ResourceExhausted, text);
    }
    if (this.#place.vkernels.find(process.vkernel)?.takesSnapshots !== true)
      throw this.#refusal(process, 'its virtual kernel is of an older release, or away');
    const children = this.#place.childrenOf(pid);
    if (children > 0)
      throw this.#refusal(
        process,
        `it has ${children} ${children === 1 ? 'child' : 'children'}, which what is started from a snapshot would not have`,
      );
    const number = ++this.#last;
    const one: UnderWay = { process, told: Promise.withResolvers(), over: Promise.withResolvers() };
    one.over.promise.catch(() => {}); // It may come to nothing while nobody waits.
    const gone = (): void => one.over.reject(ctx.signal.reason);
    if (ctx.signal.aborted) gone();
    else ctx.signal.addEventListener('abort', gone, { once: true });
    this.#underWay.set(number, one);
    const ask = (what: Order, ms = ANSWER_MS) => this.#ask(number, one, what, ms);
    let settled = false;
    try {
      const held = await ask({ case: 'wait', value: {} }, timeoutMs || TIMEOUT_MS);
      if (held.case !== 'held') throw unexpected(held);
      yield { event: held };
      for (let at = 0; at < held.value.moduleBytes; ) {
        const piece = await ask({ case: 'moduleFrom', value: at });
        if (piece.case !== 'module' || piece.value.length === 0) throw unexpected(piece);
        at += piece.value.length;
        yield { event: piece };
      }
      const next = await Promise.race([nextOf(iterator), one.over.promise]);
      if (next.case !== 'done')
        throw new RpcError(Code.InvalidArgument, `${next.case} is no end of a snapshot`);
      const released = await ask({ case: 'done', value: {} });
      settled = true;
      if (released.case !== 'released') throw unexpected(released);
      ctx.log.info({ pid }, 'a snapshot was taken');
      yield { event: released };
    } finally {
      this.#underWay.delete(number);
      ctx.signal.removeEventListener('abort', gone);
      if (!settled)
        this.#place.vkernels.tell(process, {
          case: 'snapshot',
          value: { pid, number, what: { case: 'done', value: {} } },
        });
    }
  }

  /** @throws RpcError */
  async #ask(number: number, one: UnderWay, what: Order, ms: number): Promise<Told> {
    const { process } = one;
    const { pid } = process;
    one.told = Promise.withResolvers();
    this.#place.vkernels.send(process, { case: 'snapshot', value: { pid, number, what } });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(what.case === 'wait' ? noPoint(pid, ms) : silent(process)), ms);
    });
    try {
      return await Promise.race([one.told.promise, one.over.promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A process is over. */
  ended(pid: bigint): void {
    for (const { process, over } of this.#underWay.values())
      if (process.pid === pid) over.reject(this.#refusal(process, 'it ended'));
  }

  #told(process: Process, { number, what }: SnapshotTold): void {
    const one = this.#underWay.get(number);
    if (one?.process !== process) return;
    if (what.case === 'refused') one.over.reject(this.#refusal(process, what.value));
    else one.told.resolve(what);
  }

  #refusal({ pid }: Process, why: string): RpcError {
    return new RpcError(
      Code.FailedPrecondition,
      `there can be no snapshot of process ${pid} on ${this.#place.node}: ${why}`,
    );
  }
}

const noPoint = (pid: bigint, ms: number): RpcError =>
  new RpcError(
    Code.DeadlineExceeded,
    `process ${pid} came to no point within ${ms / 1_000} s where there can be a snapshot of it: it calls odonata_snapshot() there, or waits for input, a lock or a barrier`,
  );

const silent = ({ pid, vkernel }: Process): RpcError =>
  new RpcError(Code.Unavailable, `virtual kernel ${vkernel} does not answer of process ${pid}`);

const unexpected = (told: Told): RpcError =>
  new RpcError(Code.Internal, `a virtual kernel told ${told.case} of a snapshot`);

async function nextOf(requests: AsyncIterator<SnapshotRequest>): Promise<SnapshotRequest['event']> {
  const result = await requests.next();
  if (result.done) throw new RpcError(Code.Cancelled, 'the requests ended before the snapshot was taken');
  return result.value.event;
}
