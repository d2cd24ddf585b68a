// Deadlines of calls. A timer of its own for each, set and cleared a moment later, costs as much as the rest of a small call; those
// that are seconds away have one timer in common, for the first of them. Most are taken back long before: then it finds nothing to do
// when it comes, and is set for the first one that is left. So a process at rest is not woken for them.
import { ownTurn } from './bug.ts';

/** Nearer ones have a timer of their own. */
const NEAR_MS = 2_000;
/** Between two looks. */
const LOOK_MS = 100;
/** The longest that a timer of Node waits. */
const TIMER_MAX_MS = 2 ** 31 - 1;

interface Deadline {
  readonly atMs: number;
  readonly pass: () => void;
}

const far = new Set<Deadline>();
let timer: NodeJS.Timeout | undefined;
let lookMs = Number.POSITIVE_INFINITY;

/** Calls `pass` once after so many milliseconds, and up to a tenth of a second. @returns takes it back */
export function deadline(afterMs: number, pass: () => void): () => void {
  if (afterMs < NEAR_MS) {
    const near = setTimeout(ownTurn({ timer: 'deadline' }, pass), afterMs);
    return () => clearTimeout(near);
  }
  const each = { atMs: performance.now() + afterMs, pass };
  far.add(each);
  if (each.atMs < lookMs) lookAt(each.atMs);
  return () => {
    far.delete(each);
  };
}

function lookAt(atMs: number): void {
  clearTimeout(timer);
  lookMs = atMs;
  // Whoever waits has a line that keeps the process.
  const afterMs = Math.max(0, Math.ceil(atMs - performance.now()));
  timer = setTimeout(look, Math.min(TIMER_MAX_MS, afterMs)).unref();
}

function look(): void {
  lookMs = Number.POSITIVE_INFINITY;
  const nowMs = performance.now();
  let nextMs = Number.POSITIVE_INFINITY;
  for (const each of far) {
    if (each.atMs > nowMs) nextMs = Math.min(nextMs, each.atMs);
    else {
      far.delete(each);
      ownTurn({ timer: 'deadline' }, each.pass)();
    }
  }
  // What passed may have set one meanwhile.
  nextMs = Math.max(nextMs, nowMs + LOOK_MS);
  if (nextMs < lookMs) lookAt(nextMs);
}
