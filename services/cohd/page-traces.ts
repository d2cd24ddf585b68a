// The traces of acquires: each that carries one is a span of it, from its arrival until all of its pages are granted, recalled or
// refused; what is said to others for it is part of that. Nothing here is heeded by what decides.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PageRun } from '@odonata/coherency/page.ts';
import { commonPages, PageMarks } from '@odonata/coherency/page-marks.ts';
import type { DirectoryEventInit, StreamId } from '@odonata/coherency/replica/replica-messages.ts';
import { AccessMode, type HolderEvent, type InvalidateSchema } from '@odonata/proto/coherency/v1/coherency';
import { isContext, spanIn, type TraceContext } from '@odonata/rpc/trace/context.ts';
import type { Tracer } from '@odonata/rpc/trace/tracer.ts';

type Said = DirectoryEventInit['event'];
type InvalidateInit = MessageInitShape<typeof InvalidateSchema>;

interface Acquire {
  readonly run: PageRun;
  readonly stream: StreamId;
  readonly write: boolean;
  readonly parent: TraceContext;
  readonly context: TraceContext;
  readonly startNs: bigint;
  /** Pages that nothing was said of yet. */
  left: number;
  granted: number;
  recalled: number;
  refused: number;
  invalidations: number;
}

export class PageTraces {
  readonly #tracer: Tracer;
  readonly #acquires = new PageMarks<Acquire>();
  /** The numbers of the holders, by their streams. */
  readonly #holders = new Map<StreamId, number>();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** Acquires that are under way. */
  get size(): number {
    return this.#acquires.size;
  }

  heard(stream: StreamId, { event }: HolderEvent): void {
    if (event.case !== 'acquire') return;
    const { run, mode, trace } = event.value;
    if (!isContext(trace) || run === undefined) return;
    const parent = trace.slice();
    this.#acquires.add({
      ...{ run, stream, write: mode === AccessMode.WRITE, parent, context: spanIn(parent) },
      ...{ startNs: process.hrtime.bigint(), left: run.pageCount },
      ...{ granted: 0, recalled: 0, refused: 0, invalidations: 0 },
    });
  }

  /** A stream is gone. */
  gone(stream: StreamId): void {
    this.#holders.delete(stream);
    for (const acquire of this.#acquires) if (acquire.stream === stream) this.#acquires.remove(acquire);
  }

  /** Something is said to a holder. @returns it, with the trace that it is part of */
  says(stream: StreamId, said: Said): Said {
    switch (said?.case) {
      case 'welcome':
        this.#holders.set(stream, said.value.holder ?? 0);
        return said;
      case 'grant':
      case 'refuse': {
        const acquire = this.#of(said.value.run, (each) => each.stream === stream);
        if (acquire !== undefined)
          this.#answered(acquire, said.case === 'grant' ? 'granted' : 'refused', said.value.run);
        return said;
      }
      case 'recall': {
        const { receiver, run } = said.value;
        const acquire = this.#of(run, (each) => this.#holders.get(each.stream) === receiver);
        if (acquire === undefined) return said;
        this.#answered(acquire, 'recalled', run);
        return { case: 'recall', value: { ...said.value, trace: acquire.context } };
      }
      case 'invalidate':
        return { case: 'invalidate', value: this.broadcasts(said.value) };
      default:
        return said;
    }
  }

  /** Holders are told to give copies up. @returns that, with the trace that it is part of */
  broadcasts(value: InvalidateInit): InvalidateInit {
    const acquire = this.#of(value.run, ({ write }) => write);
    if (acquire === undefined) return value;
    acquire.invalidations++;
    return { ...value, trace: acquire.context };
  }

  #of(run: Partial<PageRun> | undefined, which: (acquire: Acquire) => boolean): Acquire | undefined {
    return run === undefined ? undefined : this.#acquires.of(whole(run)).find(which);
  }

  #answered(
    acquire: Acquire,
    how: 'granted' | 'recalled' | 'refused',
    run: Partial<PageRun> | undefined,
  ): void {
    const pages = run === undefined ? 0 : commonPages(acquire.run, whole(run));
    acquire[how] += pages;
    acquire.left -= pages;
    if (acquire.left > 0) return;
    this.#acquires.remove(acquire);
    const { context, parent, startNs, granted, recalled, refused, invalidations, write } = acquire;
    this.#tracer.record({
      ...{ name: 'decide', kind: 'server', context, parent, startNs, endNs: process.hrtime.bigint() },
      attributes: {
        'odonata.access': write ? 'write' : 'read',
        'odonata.first_page': acquire.run.firstPage,
        'odonata.pages': acquire.run.pageCount,
        ...{ 'odonata.pages_granted': granted, 'odonata.pages_recalled': recalled },
        ...{ 'odonata.pages_refused': refused, 'odonata.invalidations': invalidations },
      },
    });
  }
}

const whole = ({ dataspace = 0n, firstPage = 0, pageCount = 0 }: Partial<PageRun>): PageRun => ({
  ...{ dataspace, firstPage, pageCount },
});
