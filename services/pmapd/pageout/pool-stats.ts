// What a node gave to others for want of frames, and has of them: for people.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PoolStatsSchema } from '@odonata/proto/pmap/v1/pmap';
import type { DataspacePageout } from './dataspace-pageout.ts';
import type { LodgedPages } from './lodged-pages.ts';
import type { Pageout } from './pageout.ts';

export interface PoolNode {
  readonly pageout: Pageout;
  readonly dataspacePageout: DataspacePageout;
  readonly lodged: LodgedPages;
}

/** Undefined: nothing ever went. */
export function poolStats({
  pageout,
  dataspacePageout: { counts, leavingPages },
  lodged,
}: PoolNode): MessageInitShape<typeof PoolStatsSchema> | undefined {
  const stats = {
    givenPages: BigInt(counts.given),
    sparedPages: BigInt(counts.spared),
    offersRefused: BigInt(counts.refused),
    leavingPages: BigInt(leavingPages),
    neighbourPages: BigInt(pageout.awayPages),
    neighbourOuts: BigInt(pageout.counts.neighbourOuts),
    neighbourIns: BigInt(pageout.counts.neighbourIns),
    lodgedPages: BigInt(lodged.pages),
    givenBack: BigInt(lodged.givenBack),
  };
  return Object.values(stats).some((count) => count > 0n) ? stats : undefined;
}
