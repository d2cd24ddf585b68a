import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HotPageSchema, ListHotPagesResponseSchema, PageUserSchema } from '@odonata/proto/pmap/v1/pmap';
import { isTheirs } from '@odonata/rpc/identity/access.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { HotPage, PageUser } from './hot-pages.ts';

export interface Seen {
  readonly pages: readonly HotPage[];
  readonly spanMs: number;
  /** Whose the dataspace is. */
  readonly owner: string;
  namesOf(page: number): string[];
}

/**
 * As whoever asks may see it. Whose dataspace it is sees which bytes processes of others fault on, but not which processes these
 * are; everybody else that there are some, all together.
 */
export function hotPagesWire(
  { pages, spanMs, owner, namesOf }: Seen,
  ctx: CallContext,
): MessageInitShape<typeof ListHotPagesResponseSchema> {
  const seesBytes = isTheirs(ctx, owner);
  return {
    spanMs: BigInt(Math.round(spanMs)),
    pages: pages.map((hot) => ({ ...pageWire(hot, seesBytes, ctx), names: namesOf(hot.page) })),
  };
}

function pageWire(
  { page, faults, waitedNs, users, otherFaults }: HotPage,
  seesBytes: boolean,
  ctx: CallContext,
): MessageInitShape<typeof HotPageSchema> {
  const theirs = users.filter((user) => isTheirs(ctx, user.owner));
  const others = users.filter((user) => !isTheirs(ctx, user.owner));
  const pids = [...new Set(others.map(({ pid }) => pid))];
  const shown = seesBytes
    ? others.map((user) => ({ ...userWire(user), pid: 0n, vkernel: '', other: pids.indexOf(user.pid) + 1 }))
    : [false, true].flatMap((write) => together(others.filter((user) => user.write === write)));
  return {
    page: BigInt(page),
    faults: BigInt(faults),
    waitedUs: microseconds(waitedNs),
    otherFaults: BigInt(otherFaults),
    users: [...theirs.map(userWire), ...shown],
  };
}

type UserInit = MessageInitShape<typeof PageUserSchema>;

const userWire = ({ pid, vkernel, write, faults, waitedNs, words }: PageUser): UserInit => ({
  ...{ pid, vkernel, write, words, faults: BigInt(faults), waitedUs: microseconds(waitedNs) },
});

/** @param users all of them read, or all write */
function together(users: readonly PageUser[]): UserInit[] {
  const [first] = users;
  if (first === undefined) return [];
  const sum = (of: (user: PageUser) => number): number => users.reduce((all, user) => all + of(user), 0);
  const waitedUs = microseconds(sum(({ waitedNs }) => waitedNs));
  return [{ write: first.write, faults: BigInt(sum(({ faults }) => faults)), waitedUs }];
}

const microseconds = (ns: number): bigint => BigInt(Math.round(ns / 1e3));
