// The traces of faults at a node: from the fault of a virtual kernel to the page that is mapped, and what this node does with its
// pages for the faults of others.
//
//   fault (vkernel)                     from its arrival at the handler to the waking of the guest
//     serve fault (pmapd)               from its arrival here
//       decide (cohd)                   the acquire that was said for it
//         give pages (pmapd elsewhere)  from the recall to the pages being on their way
//           take pages (pmapd)          from their arrival here until they are mapped
//         invalidate (pmapd elsewhere)
import type { Fault } from '@odonata/coherency/node/memory/waiting.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import { PageMarks } from '@odonata/coherency/page-marks.ts';
import { spanIn, type TraceContext } from '@odonata/rpc/trace/context.ts';
import type { Tracer } from '@odonata/rpc/trace/tracer.ts';
import type { MapEntry } from '../sessions/map-entry.ts';

/** A fault that is traced. */
interface Traced {
  readonly run: PageRun;
  readonly entry: MapEntry;
  readonly atNs: bigint;
  readonly write: boolean;
  /** Of the virtual kernel, and ours. */
  readonly fault: TraceContext;
  readonly serving: TraceContext;
  readonly servingNs: bigint;
  /** It was said with an acquire: another one is not for it. */
  asked: boolean;
  /** The spans of other traces, by which this one is served, too. */
  readonly links: TraceContext[];
}

/** A recall under way. */
interface Recall {
  readonly run: PageRun;
  readonly parent: TraceContext;
  readonly context: TraceContext;
  readonly startNs: bigint;
}

const now = (): bigint => process.hrtime.bigint();

export class PageTraces {
  readonly #tracer: Tracer;
  readonly #node: string;
  readonly #faults = new PageMarks<Traced>();
  readonly #recalls = new PageMarks<Recall>();
  /** When the last fault of this turn was over. */
  #lastEndNs = 0n;

  constructor(tracer: Tracer, node: string) {
    this.#tracer = tracer;
    this.#node = node;
  }

  /** Faults and recalls that are under way. */
  get size(): number {
    return this.#faults.size + this.#recalls.size;
  }

  /** A virtual kernel traces a fault. @param fault its span */
  faulted(entry: MapEntry, page: number, about: { write: boolean; atNs: bigint }, fault: TraceContext): void {
    const run = { dataspace: entry.dataspace.id, firstPage: page, pageCount: 1 };
    // A view of the message.
    const own = fault.slice();
    const serving = spanIn(own);
    const links: TraceContext[] = [];
    const [before] = this.#faults.of(run);
    if (before !== undefined) links.push(before.serving);
    const { write, atNs } = about;
    this.#faults.add({
      ...{ run, entry, write, atNs, fault: own, serving, servingNs: now(), links },
      asked: before?.asked === true && (before.write || !write),
    });
  }

  /** An acquire is said. @returns what it is part of; the other faults that it is for have links to that */
  acquires(run: PageRun): TraceContext | undefined {
    const asked = this.#faults.of(run).filter((traced) => !traced.asked);
    const [first, ...others] = asked;
    if (first === undefined) return undefined;
    for (const traced of asked) traced.asked = true;
    for (const other of others) other.links.push(first.serving);
    return first.serving;
  }

  /** A fault is over. @param error why it could not be served */
  ended({ entry, page, atNs, write }: Fault<MapEntry>, place: string, error?: string): void {
    const run = { dataspace: entry.dataspace.id, firstPage: page, pageCount: 1 };
    const traced = this.#faults.of(run).find((each) => each.entry === entry && each.atNs === atNs);
    if (traced === undefined) return;
    this.#faults.remove(traced);
    const endNs = now();
    this.#lastEndNs = endNs;
    const { vmspace, dataspace } = entry;
    const attributes = {
      'odonata.dataspace': dataspace.name,
      'odonata.page': page,
      'odonata.access': write ? 'write' : 'read',
      'odonata.place': place,
      'odonata.pid': Number(vmspace.pid),
    };
    const { fault, serving, servingNs, links } = traced;
    this.#tracer.record({
      ...{ name: 'serve fault', kind: 'server', context: serving, parent: fault },
      ...{ startNs: servingNs, endNs, attributes, links, error },
    });
    this.#tracer.record({
      ...{ name: 'fault', kind: 'client', context: fault, startNs: atNs, endNs, attributes, error },
      of: { service: 'vkernel', instance: `${this.#node}/${vmspace.session.name}` },
    });
  }

  /** Others need pages of this node. */
  recalled(run: PageRun, parent: TraceContext): void {
    const own = parent.slice();
    this.#recalls.add({ run, parent: own, context: spanIn(own), startNs: now() });
  }

  /** Pages go to others. @returns what that is part of */
  delivers(run: PageRun): TraceContext | undefined {
    const [recall] = this.#recalls.of(run);
    if (recall === undefined) return undefined;
    this.#recalls.remove(recall);
    const { parent, context, startNs } = recall;
    const attributes = { 'odonata.first_page': run.firstPage, 'odonata.pages': run.pageCount };
    this.#tracer.record({
      ...{ name: 'give pages', kind: 'server', context, parent, startNs, endNs: now(), attributes },
    });
    return context;
  }

  /** Runs what follows a message of a trace, as a span of it. */
  within(name: string, parent: TraceContext, run: PageRun, what: () => void): void {
    const own = parent.slice();
    const startNs = now();
    this.#lastEndNs = 0n;
    what();
    const attributes = { 'odonata.first_page': run.firstPage, 'odonata.pages': run.pageCount };
    // The fault that it is for was over in the middle of it.
    const endNs = this.#lastEndNs || now();
    this.#tracer.record({
      ...{ name, kind: 'server', context: spanIn(own), parent: own, startNs, endNs, attributes },
    });
  }
}
