// Things that rows name by a small number: a dataspace, an owner. One that no row names any more is forgotten, and its number is
// somebody else's.
export class Counted<T> {
  private readonly key: (thing: T) => bigint | string;
  private readonly things: (T | undefined)[] = [undefined];
  private readonly counts: number[] = [0];
  private readonly numbers = new Map<bigint | string, number>();
  private readonly free: number[] = [];

  constructor(key: (thing: T) => bigint | string) {
    this.key = key;
  }

  get(number: number): T | undefined {
    return this.things[number];
  }

  /** @returns its number, from 1 on: named once more */
  take(thing: T): number {
    const key = this.key(thing);
    let number = this.numbers.get(key);
    if (number === undefined) {
      number = this.free.pop() ?? this.things.length;
      this.things[number] = thing;
      this.counts[number] = 0;
      this.numbers.set(key, number);
    }
    this.counts[number]!++;
    return number;
  }

  /** One that is named less. */
  give(number: number): void {
    if (--this.counts[number]! > 0) return;
    this.numbers.delete(this.key(this.things[number]!));
    this.things[number] = undefined;
    this.free.push(number);
  }

  numberOf(key: bigint | string): number | undefined {
    return this.numbers.get(key);
  }

  *all(): Generator<[number: number, thing: T]> {
    for (const number of this.numbers.values()) yield [number, this.things[number]!];
  }

  /** As it was elsewhere, with as many that name it. */
  adopt(number: number, thing: T, count: number): void {
    while (this.things.length <= number) {
      this.things.push(undefined);
      this.counts.push(0);
    }
    this.things[number] = thing;
    this.counts[number] = count;
    this.numbers.set(this.key(thing), number);
  }

  /** After those that were adopted: what numbers nobody has. */
  adopted(): void {
    this.free.length = 0;
    for (let number = this.things.length - 1; number > 0; number--)
      if (this.things[number] === undefined) this.free.push(number);
  }
}
