// One direction of a line that loses what it carries, and what comes of it at the other end: each item once, and in order.
//
//   first ........ heard ........ last          numbers, from 1
//   |  is heard    |  is said again until that is heard
//
// Whoever takes says up to which number it has taken; what comes twice, or before its turn, is dropped. Pure.

/** So many are under way; the rest waits. */
export const WINDOW = 256;
/** Of one message. */
export const ITEMS_MAX = 64;

/** Items that follow each other. */
export interface Part<T> {
  first: number;
  items: readonly T[];
}

export class SureSender<T> {
  private readonly waiting: T[];
  private first: number;
  /** How many of them were said. */
  private said = 0;

  /** @param state of another one, which may have said all of it */
  constructor({ first, items }: Part<T> = { first: 1, items: [] }) {
    this.first = first;
    this.waiting = [...items];
  }

  get state(): Part<T> {
    return { first: this.first, items: this.waiting };
  }

  /** Not heard. */
  get length(): number {
    return this.waiting.length;
  }

  push(item: T): void {
    this.waiting.push(item);
  }

  /** The other side has taken all up to this number. @returns true where that is new */
  heard(upTo: number): boolean {
    const count = Math.min(upTo - this.first + 1, this.said);
    if (count <= 0) return false;
    this.waiting.splice(0, count);
    this.first += count;
    this.said -= count;
    return true;
  }

  /** What was not said yet, as far as it may be under way. */
  next(): Part<T>[] {
    const parts: Part<T>[] = [];
    const end = Math.min(this.waiting.length, WINDOW);
    while (this.said < end) {
      const upTo = Math.min(end, this.said + ITEMS_MAX);
      parts.push({ first: this.first + this.said, items: this.waiting.slice(this.said, upTo) });
      this.said = upTo;
    }
    return parts;
  }

  /** The oldest of what was said and not heard. */
  again(): Part<T> | undefined {
    if (this.said === 0) return undefined;
    return { first: this.first, items: this.waiting.slice(0, Math.min(this.said, ITEMS_MAX)) };
  }
}

export class SureTaker {
  /** The number of the last one that was taken. */
  taken = 0;

  /** @returns what is new */
  take<T>({ first, items }: Part<T>): readonly T[] {
    if (first > this.taken + 1) return [];
    const fresh = items.slice(this.taken + 1 - first);
    this.taken += fresh.length;
    return fresh;
  }
}
