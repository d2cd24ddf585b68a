// What a node gave to others for want of frames, and has of them: for people.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PoolStatsSchema } from '@odonata/proto/pmap/v1/pmap';
import type { DataspacePageout } from './dataspace-pageout.ts';

export interface PoolNode {
  readonly dataspacePageout: DataspacePageout;
}

/** Undefined: nothing ever went. */
export function poolStats({
  dataspacePageout: { counts, leavingPages },
}: PoolNode): MessageInitShape<typeof PoolStatsSchema> | undefined {
  const stats = {
    givenPages: BigInt(counts.given),
    sparedPages: BigInt(counts.spared),
    offersRefused: BigInt(counts.refused),
    leavingPages: BigInt(leavingPages),
  };
  return Object.values(stats).some((count) => count > 0n) ? stats : undefined;
}
