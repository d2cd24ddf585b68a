// The records as this node knows them: what it saw, what it stored itself, and what it has asked to be stored.
import type { StoredRecord } from './record.ts';

export interface Entry {
  readonly key: string;
  readonly revision: number;
  readonly value: StoredRecord;
}
export interface Kept {
  readonly revision: number;
  /** Undefined: it was deleted. */
  readonly value: StoredRecord | undefined;
  /** Since when it is so here. */
  readonly sinceMs: number;
}
export interface Swap {
  readonly do: 'swap';
  readonly key: string;
  readonly value: StoredRecord | undefined;
  readonly revision: number;
}

export class KnownRecords {
  readonly #kept = new Map<string, Kept>();
  /** One a key. */
  readonly #pending = new Map<string, { value: StoredRecord | undefined }>();

  get(key: string): Kept | undefined {
    return this.#kept.get(key);
  }

  isPending(key: string): boolean {
    return this.#pending.has(key);
  }

  /** As it is stored, for all that we know. */
  value(key: string): StoredRecord | undefined {
    return this.#kept.get(key)?.value;
  }

  /** As it will be: a claim that is under way counts, so that there are not too many. */
  readonly look = (key: string): StoredRecord | undefined =>
    this.#pending.get(key)?.value ?? this.#kept.get(key)?.value;

  keys(): Set<string> {
    return new Set([...this.#kept.keys(), ...this.#pending.keys()]);
  }

  *of<K extends StoredRecord['kind']>(
    kind: K,
  ): Generator<{ key: string; value: Extract<StoredRecord, { kind: K }>; sinceMs: number }> {
    for (const [key, { value, sinceMs }] of this.#kept)
      if (value?.kind === kind) yield { key, value: value as Extract<StoredRecord, { kind: K }>, sinceMs };
  }

  /** All that there are, as of that revision of the store. */
  see(revision: number, entries: readonly Entry[], nowMs: number): void {
    const there = new Set<string>();
    for (const entry of entries) {
      there.add(entry.key);
      this.keep(entry.key, entry.revision, entry.value, nowMs);
    }
    for (const [key, kept] of this.#kept)
      if (!there.has(key) && kept.revision < revision) this.#kept.delete(key);
  }

  keep(key: string, revision: number, value: StoredRecord | undefined, nowMs: number): void {
    const before = this.#kept.get(key);
    if (before !== undefined && before.revision >= revision) return;
    this.#kept.set(key, { revision, value, sinceMs: nowMs });
  }

  /** What is to be done for it; undefined: one of that key is under way. */
  swap(key: string, value: StoredRecord | undefined): Swap | undefined {
    if (this.#pending.has(key)) return undefined;
    this.#pending.set(key, { value });
    return { do: 'swap', key, value, revision: this.#kept.get(key)?.revision ?? 0 };
  }

  /** It is answered. @returns what was asked, if anything was */
  answered(key: string): { value: StoredRecord | undefined } | undefined {
    const pending = this.#pending.get(key);
    this.#pending.delete(key);
    return pending;
  }
}
