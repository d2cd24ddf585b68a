// A heap whose least comes first, and from which anything can be taken out: deadlines, things to do in order.

export class OrderedHeap<T> {
  private readonly isBefore: (a: T, b: T) => boolean;
  private readonly items: T[] = [];
  private readonly indexOf = new Map<T, number>();

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.isBefore = isBefore;
  }

  get size(): number {
    return this.items.length;
  }

  peek(): T | undefined {
    return this.items[0];
  }

  /** Does nothing for what is in it. */
  add(item: T): void {
    if (this.indexOf.has(item)) return;
    this.items.push(item);
    this.rise(this.items.length - 1);
  }

  pop(): T | undefined {
    const least = this.items[0];
    if (least !== undefined) this.delete(least);
    return least;
  }

  /** Does nothing for what is not in it. */
  delete(item: T): void {
    const index = this.indexOf.get(item);
    if (index === undefined) return;
    this.indexOf.delete(item);
    const last = this.items.pop()!;
    if (last === item) return;
    this.place(last, index);
    this.rise(index);
    this.sink(this.indexOf.get(last)!);
  }

  private place(item: T, index: number): void {
    this.items[index] = item;
    this.indexOf.set(item, index);
  }

  private rise(from: number): void {
    const item = this.items[from]!;
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      if (!this.isBefore(item, this.items[above]!)) break;
      this.place(this.items[above]!, index);
      index = above;
    }
    this.place(item, index);
  }

  private sink(from: number): void {
    const item = this.items[from]!;
    let index = from;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= this.items.length) break;
      if (below + 1 < this.items.length && this.isBefore(this.items[below + 1]!, this.items[below]!)) below++;
      if (!this.isBefore(this.items[below]!, item)) break;
      this.place(this.items[below]!, index);
      index = below;
    }
    this.place(item, index);
  }
}
