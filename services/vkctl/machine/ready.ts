// Whether a node that starts has come into its cluster: only the door can tell, by what the routers have of it.
import { setTimeout as sleep } from 'node:timers/promises';
import { clusterFlag } from '../cluster/cluster-flag.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import { DoorRefusal } from '../door/messages.ts';
import { Failure } from '../failure.ts';
import { NoAnswer } from './door-client.ts';
import { type Bounds, doorOf, look, lookOf, writeLists } from './link.ts';
import { markRemoved } from './membership.ts';

const AGAIN_MS = 250;

interface Waiter {
  readonly plan: Pick<ClusterPlan, 'cluster' | 'stateDir' | 'member' | 'host' | 'listenHost' | 'ports'>;
  /** Of one that lodges here. */
  readonly bounds?: Bounds;
}

/** What of the node is not there yet. @throws Failure where it is not of the cluster any more */
export async function memberWaits({ plan, bounds }: Waiter): Promise<string[]> {
  const client = doorOf(plan, plan.member!);
  try {
    const answer = await look(client, lookOf(plan, 'starting'));
    if (answer.lists !== undefined) writeLists(plan, plan.member!.node, answer.lists);
    // One that is to rest starts nothing.
    const waits = answer.rest ? [] : answer.waitingFor;
    // The door heard that it starts; whoever asks there next is to hear that it works.
    if (!answer.rest && waits.length === 0) await look(client, lookOf(plan, 'ready', bounds));
    if (waits.length > 0) await sleep(AGAIN_MS);
    return waits;
  } catch (error) {
    // Whoever looks later is told why.
    if (error instanceof DoorRefusal && error.refusal === 'NOT_IN') markRemoved(plan);
    if (error instanceof DoorRefusal)
      throw new Failure(`the cluster does not let this machine in: ${error.message}`, {
        fix: `To clear what is left of it here: vkctl down --purge${clusterFlag(plan.cluster)}`,
      });
    if (!(error instanceof NoAnswer)) throw error;
    await sleep(AGAIN_MS);
    return ['the door of the cluster'];
  } finally {
    client.close();
  }
}
