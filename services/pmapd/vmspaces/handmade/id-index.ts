// The rows of vmspaces by their ids, and in the order of ids. Ids grow, and are never used again: those that live lie close
// together, so a leaf is for 256 ids beside each other, and goes with the last of them.
const SHIFT = 8;
const LEAF_IDS = 1 << SHIFT;
const MASK = LEAF_IDS - 1;

interface Leaf {
  /** Row + 1; 0: nobody. */
  readonly rows: Uint32Array;
  taken: number;
}

const leafOf = (id: number): number => Math.floor(id / LEAF_IDS);

export class IdIndex {
  private leaves = new Map<number, Leaf>();
  private lastLeaf = -1;
  /** True where the leaves stand in the order of ids. */
  private isInOrder = true;

  get(id: number): number | undefined {
    const row = this.leaves.get(leafOf(id))?.rows[id & MASK] ?? 0;
    return row === 0 ? undefined : row - 1;
  }

  add(id: number, row: number): void {
    const at = leafOf(id);
    let leaf = this.leaves.get(at);
    if (leaf === undefined) {
      leaf = { rows: new Uint32Array(LEAF_IDS), taken: 0 };
      this.leaves.set(at, leaf);
      if (at < this.lastLeaf) this.isInOrder = false;
      this.lastLeaf = at;
    }
    if (leaf.rows[id & MASK] === 0) leaf.taken++;
    leaf.rows[id & MASK] = row + 1;
  }

  delete(id: number): void {
    const leaf = this.leaves.get(leafOf(id));
    if (leaf === undefined || leaf.rows[id & MASK] === 0) return;
    leaf.rows[id & MASK] = 0;
    if (--leaf.taken === 0) this.leaves.delete(leafOf(id));
  }

  /** Ids and rows, in order, from an id on. */
  *from(first: number): Generator<[id: number, row: number]> {
    if (!this.isInOrder) {
      this.leaves = new Map([...this.leaves].sort(([a], [b]) => a - b));
      this.lastLeaf = Math.max(...[...this.leaves.keys()].slice(-1), -1);
      this.isInOrder = true;
    }
    const begin = leafOf(first);
    for (const [at, { rows }] of this.leaves) {
      if (at < begin) continue;
      const base = at * LEAF_IDS;
      for (let i = at === begin ? first - base : 0; i < LEAF_IDS; i++)
        if (rows[i] !== 0) yield [base + i, rows[i]! - 1];
    }
  }
}
