// A node that leaves in peace: what pmapd runs (libs/coherency/node/drain.ts), with the other nodes of the simulated cluster.
import type { DrainAction, DrainEvent, DrainPorts, NodeDrain } from '@odonata/coherency/node/drain.ts';
import { type PageRun, unreachable } from '@odonata/coherency/page.ts';
import { Alarm } from '../world/alarm.ts';
import { LEASE_MS } from '../world/lease-ms.ts';
import type { Surroundings } from '../world/surroundings.ts';

/** How long it may take. */
const DRAIN_MS = 12 * LEASE_MS;
/** How long another node may take to fetch pages. */
const ADOPT_MS = 2 * LEASE_MS;

/** The node that leaves. */
export interface LeavingNode {
  readonly name: string;
  readonly nodeIndex: number;
  readonly clockMs: number;
  readonly localMs: number;
  readonly generation: number;
  after(delayMs: number, work: () => void): void;
  answered(generation: number, delayMs: number, work: () => void): void;
  timer(delayLocalMs: number, work: () => void): void;
  /** Processes of it that have not ended. */
  readonly processesRun: boolean;
  handedOver(which: 'owned' | 'plain'): PageRun[];
  retire(shard: number): boolean;
  isEpochOf(shard: number, epoch: bigint): boolean;
  readonly isConnected: boolean;
  endProcesses(): void;
  closeSessions(): void;
  storeDurable(stored: () => void, failed: () => void): void;
  expire(shard: number): void;
  sayGoodbye(): void;
  /** It has left: nothing is lost by its end. */
  gone(): void;
  /** It could not hand over everything in time. */
  giveUp(): void;
}

export class DrainPart {
  private readonly world: Surroundings;
  private readonly node: LeavingNode;
  private readonly core: NodeDrain;
  private readonly alarm: Alarm;

  constructor(world: Surroundings, node: LeavingNode) {
    this.world = world;
    this.node = node;
    this.alarm = new Alarm(node, () => this.perform(this.core.tick(node.clockMs)));
    const ports: DrainPorts = {
      processesRun: () => node.processesRun,
      ownedRuns: () => node.handedOver('owned'),
      plainRuns: () => node.handedOver('plain'),
      retire: (shard) => node.retire(shard),
      isEpochOf: (shard, epoch) => node.isEpochOf(shard, epoch),
      isConnected: () => node.isConnected,
    };
    this.core = world.machines.drain(ports, world.layout.shards);
  }

  start(): void {
    this.step({ type: 'start', drainMs: DRAIN_MS });
  }

  isAsked(shard: number): boolean {
    return this.core.isAsked(shard);
  }

  step(event: DrainEvent): void {
    // The leader that was asked may have let it go, and nobody knows: others write since.
    if (event.type === 'led-anew' && this.core.isAsked(event.shard))
      this.world.losses.nodeDied(this.node.nodeIndex, event.shard);
    this.perform(this.core.step(event, this.node.clockMs));
  }

  private perform(actions: readonly DrainAction[]): void {
    for (const action of actions) this.performOne(action);
    this.alarm.set(this.core.nextMs ?? Number.POSITIVE_INFINITY);
  }

  private performOne(action: DrainAction): void {
    const { node, world } = this;
    switch (action.type) {
      case 'end-processes':
        node.endProcesses();
        return;
      case 'close-sessions':
        node.closeSessions();
        return;
      case 'list-others': {
        const others = world.nodes.filter(({ name, runs }) => name !== node.name && runs);
        const names = others.map(({ name }) => name);
        node.after(world.network.delayMs(), () => this.step({ type: 'others', others: names }));
        return;
      }
      case 'store-durable':
        node.storeDurable(
          () => this.step({ type: 'stored' }),
          () => this.step({ type: 'failed', reason: 'the store does not take it' }),
        );
        return;
      case 'adopt':
        this.adopt(action);
        return;
      case 'expire':
        node.expire(action.shard);
        return;
      case 'goodbye':
        node.sayGoodbye();
        return;
      case 'over':
        world.history.note(world, node.name, 'has left', undefined, action);
        if (action.reason === undefined) node.gone();
        else node.giveUp();
        return;
      default:
        unreachable(action);
    }
  }

  private adopt({ request, other: name, runs }: Extract<DrainAction, { type: 'adopt' }>): void {
    const { node, world } = this;
    const { network } = world;
    const adopted = () => this.step({ type: 'adopted', request });
    const refused = (reason: string) => this.step({ type: 'not-adopted', request, reason });
    const { generation } = node;
    const answer = (tell: () => void) => node.answered(generation, network.delayMs(), tell);
    const other = world.nodes.find((each) => each.name === name)!;
    if (!other.runs || other.isLeaving) answer(() => refused(`${name} is about to leave, too`));
    else
      other.after(network.delayMs(), () =>
        other.adopt(
          runs,
          'READ',
          () => answer(adopted),
          () => answer(() => refused(`${name} is about to leave, too`)),
        ),
      );
    node.timer(ADOPT_MS, () => refused(`${name} does not answer`));
  }
}
