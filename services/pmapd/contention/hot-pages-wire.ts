import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ListHotPagesResponseSchema } from '@odonata/proto/pmap/v1/pmap';
import { isTheirs } from '@odonata/rpc/identity/access.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { HotPage } from './hot-pages.ts';

/** As whoever asks may see it: of processes that are not theirs, only that there are some. */
export const hotPagesWire = (
  { pages, spanMs }: { pages: readonly HotPage[]; spanMs: number },
  namesOf: (page: number) => string[],
  ctx: CallContext,
): MessageInitShape<typeof ListHotPagesResponseSchema> => ({
  spanMs: BigInt(Math.round(spanMs)),
  pages: pages.map(({ page, faults, waitedNs, users, otherFaults }) => ({
    page: BigInt(page),
    names: namesOf(page),
    faults: BigInt(faults),
    waitedUs: microseconds(waitedNs),
    otherFaults: BigInt(otherFaults),
    users: users.map(({ pid, owner, vkernel, write, faults, waitedNs, words }) => ({
      ...(isTheirs(ctx, owner) && { pid, vkernel }),
      ...{ write, words, faults: BigInt(faults), waitedUs: microseconds(waitedNs) },
    })),
  })),
});

const microseconds = (ns: number): bigint => BigInt(Math.round(ns / 1e3));
