// What a home has to tell others, until they took it. Pure, as home.ts is.

import type { Message } from './message.ts';
import { keyOf } from './message.ts';

export type Kept = Exclude<Message, { kind: 'audit' }>;

/** For one node, beside ends that a parent waits for: those are never given up. */
const KEPT_MAX = 4_096;

export class Outbox {
  readonly #kept = new Map<number, Map<string, Kept>>();
  readonly #dirty = new Set<number>();

  keep(node: number, message: Kept): void {
    const kept = this.#kept.get(node) ?? new Map<string, Kept>();
    this.#kept.set(node, kept);
    kept.set(keyOf(message), message);
    this.#dirty.add(node);
    if (kept.size <= KEPT_MAX) return;
    // Whoever was orphaned and does not hear of it finds out by an audit.
    for (const [key, { kind }] of kept) {
      if (kind === 'exited') continue;
      kept.delete(key);
      return;
    }
  }

  /** False: it was taken before. */
  drop(node: number, message: Kept): boolean {
    const kept = this.#kept.get(node);
    const last = kept?.get(keyOf(message));
    // What was taken is an earlier one.
    if (last?.kind === 'held' && message.kind === 'held' && last.hold.turn !== message.hold.turn)
      return false;
    const known = kept?.delete(keyOf(message)) === true;
    if (kept?.size === 0) this.#kept.delete(node);
    return known;
  }

  has(node: number, message: Kept): boolean {
    return this.#kept.get(node)?.has(keyOf(message)) === true;
  }

  of(node: number): Kept[] {
    return [...(this.#kept.get(node)?.values() ?? [])];
  }

  nodes(): number[] {
    return [...this.#kept.keys()];
  }

  /** Those with something new; asked once. */
  takeDirty(): number[] {
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    return dirty;
  }

  all(): { node: number; message: Kept }[] {
    return this.nodes().flatMap((node) => this.of(node).map((message) => ({ node, message })));
  }
}
