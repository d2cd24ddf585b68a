// Is there an order of the operations on one object that each of them took effect at one moment between its begin and
// its end, and that explains every result? Wing and Gong's search (1993), with Lowe's memory of configurations (2017):
// which operations are placed, and what the object is then.

export interface Operation {
  op: 'read' | 'write' | 'swap' | 'add' | 'put' | 'take';
  a: number;
  b: number;
  /** Undefined: it never ended; it may have taken effect at any time since its begin, or not at all. */
  result: number | undefined;
  beginNs: number;
  /** Infinity where it never ended. */
  endNs: number;
}

/** The state of an object: a word, or the items of a queue, oldest first. */
type State = string;

const QUEUE_PLACES = 16;

/** What an operation makes of a state; undefined where its result contradicts it. */
export function apply(state: State, { op, a, b, result }: Operation): State | undefined {
  if (op === 'put' || op === 'take') return applyQueue(state, op, a, result);
  const word = Number(state);
  if (result !== undefined && result !== word) return undefined;
  switch (op) {
    case 'read':
      return state;
    case 'write':
      return String(a);
    case 'swap':
      return word === a ? String(b) : state;
    case 'add':
      return String((word + a) % 2 ** 32);
  }
}

function applyQueue(
  state: State,
  op: 'put' | 'take',
  value: number,
  result: number | undefined,
): State | undefined {
  const items = state === '' ? [] : state.split(' ');
  if (op === 'put') {
    const done = items.length < QUEUE_PLACES;
    if (result !== undefined && (result === 1) !== done) return undefined;
    return done ? [...items, value].join(' ') : state;
  }
  const taken = Number(items[0] ?? 0);
  if (result !== undefined && result !== taken) return undefined;
  return items.slice(1).join(' ');
}

/** A queue starts empty, a word as 0. */
export const initialState = (operations: readonly Operation[]): State =>
  operations.some(({ op }) => op === 'put' || op === 'take') ? '' : '0';

export type Verdict =
  | { linearizable: true; configurations: number }
  /** `stuckAt`: the operation, among those that ended, that no order reached beyond. */
  | { linearizable: false; configurations: number; stuckAt: Operation }
  /** The search was given up. */
  | { linearizable: undefined; configurations: number };

/** @param configurationsMax bounds the search */
export function check(operations: readonly Operation[], configurationsMax = 2_000_000): Verdict {
  const sorted = [...operations].sort((x, y) => x.beginNs - y.beginNs);
  const ended = sorted.filter(({ endNs }) => Number.isFinite(endNs)).length;
  const placed = new Uint8Array(sorted.length);
  const seen = new Set<string>();
  // Depth first, without recursion: histories are long.
  const path: { index: number; before: State; next: number }[] = [];
  let state = initialState(sorted);
  let endedPlaced = 0;
  let first = 0;
  let from = 0;
  let furthest = -1;
  let stuckAt = sorted[0]!;
  if (ended === 0) return { linearizable: true, configurations: 0 };
  for (;;) {
    const found = nextCandidate(sorted, placed, first, from, state);
    if (found !== undefined) {
      const { index, after } = found;
      placed[index] = 1;
      const key = configuration(placed, first, after);
      if (seen.has(key)) {
        placed[index] = 0;
        from = index + 1;
        continue;
      }
      seen.add(key);
      if (seen.size > configurationsMax) return { linearizable: undefined, configurations: seen.size };
      path.push({ index, before: state, next: first });
      state = after;
      if (Number.isFinite(sorted[index]!.endNs)) endedPlaced++;
      if (endedPlaced === ended) return { linearizable: true, configurations: seen.size };
      while (placed[first] === 1) first++;
      if (endedPlaced > furthest) {
        furthest = endedPlaced;
        stuckAt = sorted.find((each, i) => placed[i] === 0 && Number.isFinite(each.endNs))!;
      }
      from = first;
      continue;
    }
    const back = path.pop();
    if (back === undefined) return { linearizable: false, configurations: seen.size, stuckAt };
    placed[back.index] = 0;
    if (Number.isFinite(sorted[back.index]!.endNs)) endedPlaced--;
    state = back.before;
    first = back.next;
    from = back.index + 1;
  }
}

// One that began before every other that is not placed has ended, and whose result fits.
function nextCandidate(
  sorted: readonly Operation[],
  placed: Uint8Array,
  first: number,
  from: number,
  state: State,
): { index: number; after: State } | undefined {
  let firstEndNs = Number.POSITIVE_INFINITY;
  for (let i = first; i < sorted.length && sorted[i]!.beginNs <= firstEndNs; i++) {
    if (placed[i] === 0) firstEndNs = Math.min(firstEndNs, sorted[i]!.endNs);
  }
  for (let i = from; i < sorted.length && sorted[i]!.beginNs <= firstEndNs; i++) {
    if (placed[i] === 1) continue;
    const after = apply(state, sorted[i]!);
    if (after !== undefined) return { index: i, after };
  }
  return undefined;
}

function configuration(placed: Uint8Array, first: number, state: State): string {
  let start = first;
  while (placed[start] === 1) start++;
  let key = `${start}`;
  for (let i = start + 1, gap = 0; i < placed.length && gap < 4_096; i++) {
    if (placed[i] === 1) {
      key += `,${i - start}`;
      gap = 0;
    } else gap++;
  }
  return `${key}|${state}`;
}
