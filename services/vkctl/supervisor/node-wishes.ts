// What the door has written for the supervisor of its machine (cluster/nodes-file.ts): who may come to NATS, and which nodes of
// this machine are to rest.

import { NO_FILE } from '@odonata/rpc/file-stamp.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { nodesStamp, readNodes } from '../cluster/nodes-file.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import type { NodeWork } from './node-work.ts';
import type { SupervisedBus } from './supervised-bus.ts';

export interface NodeWishesOptions {
  readonly plan: ClusterPlan;
  /** Of this machine, by name. */
  readonly nodes: ReadonlyMap<string, NodeWork>;
  readonly bus: SupervisedBus;
  readonly log: Logger;
}

export class NodeWishes {
  readonly #o: NodeWishesOptions;
  #stamp: string = NO_FILE;

  constructor(options: NodeWishesOptions) {
    this.#o = options;
  }

  look(): void {
    const { plan, nodes, bus, log } = this.#o;
    const stamp = nodesStamp(plan);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    try {
      const { resting } = readNodes(plan);
      for (const [name, node] of nodes) node.want(resting.includes(name));
      bus.usersChanged();
    } catch (error) {
      log.error(
        { err: error },
        'cannot carry out what the door wrote: nodes and their users stay as they are',
      );
    }
  }
}
