import { asOfNow, type Requester, requesterOf } from '@odonata/rpc/identity/requester.ts';
import type { CallContext } from '@odonata/rpc/service.ts';

/** For whom something is asked of a node, and by which call: what goes on to the directory. */
export interface Asked {
  requester: Requester;
  requestId: string;
}

export const asked = (ctx: CallContext): Asked => ({
  // A virtual kernel says in which groups its person was when it was started.
  requester: asOfNow(requesterOf(ctx)),
  requestId: ctx.requestId,
});
