// Deadlines of calls. A timer of its own for each, set and cleared a moment later, costs as much as the rest of a small call; those
// that are seconds away are looked at together, some times a second.
import { ownTurn } from './bug.ts';

/** Nearer ones have a timer of their own. */
const NEAR_MS = 2_000;
const LOOK_MS = 100;

interface Deadline {
  readonly atMs: number;
  readonly pass: () => void;
}

const far = new Set<Deadline>();
let looking: NodeJS.Timeout | undefined;

/** Calls `pass` once after so many milliseconds, and up to a tenth of a second. @returns takes it back */
export function deadline(afterMs: number, pass: () => void): () => void {
  if (afterMs < NEAR_MS) {
    const timer = setTimeout(ownTurn({ timer: 'deadline' }, pass), afterMs);
    return () => clearTimeout(timer);
  }
  const each = { atMs: performance.now() + afterMs, pass };
  far.add(each);
  // Whoever waits has a line that keeps the process.
  looking ??= setInterval(look, LOOK_MS).unref();
  return () => {
    far.delete(each);
  };
}

function look(): void {
  const nowMs = performance.now();
  for (const each of far) {
    if (each.atMs > nowMs) continue;
    far.delete(each);
    ownTurn({ timer: 'deadline' }, each.pass)();
  }
  if (far.size > 0) return;
  clearInterval(looking);
  looking = undefined;
}
