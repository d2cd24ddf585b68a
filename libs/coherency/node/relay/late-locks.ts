// Locks whose answers may come although nobody waits for them.
import type { UnderWay } from './under-way.ts';

/** Of a request that was said twice and refused. */
export type GivenUp = Pick<UnderWay, 'event' | 'owner' | 'dataspace'>;
type Reclaimed = Pick<UnderWay, 'owner' | 'dataspace'>;

const GIVEN_UP_MAX = 10_000;

export class LateLocks {
  private readonly reclaimed = new Map<bigint, Reclaimed>();
  private readonly refused = new Map<bigint, GivenUp>();

  /** Locks that a new leader was told of: it answers only where somebody else has them. */
  get reclaims(): ReadonlyMap<bigint, Reclaimed> {
    return this.reclaimed;
  }

  /** Locks that were said twice and refused. */
  get givenUp(): ReadonlyMap<bigint, GivenUp> {
    return this.refused;
  }

  dataspaceOf(request: bigint): bigint | undefined {
    return (this.reclaimed.get(request) ?? this.refused.get(request))?.dataspace;
  }

  /** As many as are held: a leader that is told anew makes what the last one was told void. */
  reclaim(request: bigint, about: Reclaimed): void {
    this.reclaimed.set(request, about);
  }

  forgetReclaims(isHome: (dataspace: bigint) => boolean): void {
    if (this.reclaimed.size === 0) return;
    for (const [request, { dataspace }] of this.reclaimed)
      if (isHome(dataspace)) this.reclaimed.delete(request);
  }

  giveUp(request: bigint, { event, owner, dataspace }: GivenUp): void {
    this.refused.set(request, { event, owner, dataspace });
    if (this.refused.size > GIVEN_UP_MAX) this.refused.delete(this.refused.keys().next().value!);
  }

  takeReclaimed(request: bigint): Reclaimed | undefined {
    const about = this.reclaimed.get(request);
    this.reclaimed.delete(request);
    return about;
  }

  takeGivenUp(request: bigint): GivenUp | undefined {
    const about = this.refused.get(request);
    this.refused.delete(request);
    return about;
  }
}
