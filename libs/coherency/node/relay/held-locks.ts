// The range locks of a node's processes: what the directory granted and nobody gave back.
import type { LockMode } from '../../locks/lock-mode.ts';
import { type HeldRange, OwnedRanges } from '../../locks/owned-ranges.ts';

export class HeldLocks {
  private readonly byOwner = new Map<bigint, Map<bigint, OwnedRanges>>();
  /** By dataspace: processes that hold ranges of it. */
  private readonly ownersIn = new Map<bigint, Set<bigint>>();
  private lastOrder = 0;

  /** True while a process holds a range of a dataspace. */
  holdsIn(dataspace: bigint): boolean {
    return this.ownersIn.has(dataspace);
  }

  dataspaces(): bigint[] {
    return [...this.ownersIn.keys()];
  }

  /** True where a process holds a byte of [begin, end], in one of the modes that are accepted. */
  holds(
    owner: bigint,
    dataspace: bigint,
    begin: bigint,
    end: bigint,
    accept: (range: HeldRange) => boolean = () => true,
  ): boolean {
    return this.byOwner.get(owner)?.get(dataspace)?.first(begin, end, accept) !== undefined;
  }

  /** Ranges that a process holds of a dataspace. */
  count(owner: bigint, dataspace: bigint): number {
    return this.byOwner.get(owner)?.get(dataspace)?.count ?? 0;
  }

  hold(owner: bigint, dataspace: bigint, begin: bigint, end: bigint, mode: LockMode): void {
    const ofOwner = this.byOwner.get(owner) ?? new Map<bigint, OwnedRanges>();
    this.byOwner.set(owner, ofOwner);
    const ranges = ofOwner.get(dataspace) ?? new OwnedRanges(owner, () => ++this.lastOrder);
    ofOwner.set(dataspace, ranges);
    ranges.set(begin, end, mode);
    const owners = this.ownersIn.get(dataspace) ?? new Set();
    this.ownersIn.set(dataspace, owners.add(owner));
  }

  release(owner: bigint, dataspace: bigint, begin: bigint, end: bigint): void {
    const ranges = this.byOwner.get(owner)?.get(dataspace);
    ranges?.clear(begin, end);
    if (ranges?.count === 0) this.forget(owner, dataspace);
  }

  /** All that a process holds of a dataspace. */
  forget(owner: bigint, dataspace: bigint): void {
    const ofOwner = this.byOwner.get(owner);
    ofOwner?.delete(dataspace);
    if (ofOwner?.size === 0) this.byOwner.delete(owner);
    const owners = this.ownersIn.get(dataspace);
    owners?.delete(owner);
    if (owners?.size === 0) this.ownersIn.delete(dataspace);
  }

  forgetOwner(owner: bigint): void {
    for (const dataspace of [...(this.byOwner.get(owner)?.keys() ?? [])]) this.forget(owner, dataspace);
  }

  /** All that is held of these dataspaces, a process and a dataspace at a time. */
  *of(
    isWanted: (dataspace: bigint) => boolean,
  ): Generator<{ owner: bigint; dataspace: bigint; ranges: HeldRange[] }> {
    for (const [owner, ofOwner] of [...this.byOwner])
      for (const [dataspace, ranges] of [...ofOwner])
        if (isWanted(dataspace)) yield { owner, dataspace, ranges: [...ranges] };
  }
}
