// What is going to happen, by time: a binary heap. Of two events of one time the one that was added first comes first.

/** What handles events, unless it is dead or stopped. */
export interface Handler {
  readonly alive: boolean;
  readonly paused: boolean;
  /** Grows with each start. */
  readonly generation: number;
  /** Keeps what came while it was stopped. */
  hold(pending: Pending): void;
}

export interface Pending {
  atMs: number;
  order: number;
  /** Who handles it; undefined: the world itself, which neither dies nor stops. */
  part: Handler | undefined;
  /** Of the part, when this was added: a part that was started again does not handle what its earlier self waited for. */
  generation: number;
  timer: boolean;
  work: () => void;
}

function before(a: Pending, b: Pending): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

export class EventQueue {
  private readonly heap: Pending[] = [];

  get length(): number {
    return this.heap.length;
  }

  push(event: Pending): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  pop(): Pending | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
