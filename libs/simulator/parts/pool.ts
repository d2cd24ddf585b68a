// A node that is short of frames: what pmapd runs (libs/coherency/node/pool/pool.ts), with the other nodes of the simulated cluster.
import type { NodePool, PoolAction, PoolEvent, PoolPorts } from '@odonata/coherency/node/pool/pool.ts';
import { type PageRun, unreachable } from '@odonata/coherency/page.ts';
import type { Surroundings } from '../world/surroundings.ts';

/** Room that nodes say they have; those that refuse have none after all. */
const ROOM_MAX = 1_000;
const REFUSES_ONE_IN = 8;

/** The node that is short. */
export interface ShortNode {
  readonly name: string;
  readonly clockMs: number;
  readonly generation: number;
  readonly memory: { spare(run: PageRun): void; readonly core: PoolPorts };
  answered(generation: number, delayMs: number, work: () => void): void;
  after(delayMs: number, work: () => void): void;
  timer(delayLocalMs: number, work: () => void): void;
}

export class PoolPart {
  private readonly world: Surroundings;
  private readonly node: ShortNode;
  private readonly core: NodePool;

  constructor(world: Surroundings, node: ShortNode) {
    this.world = world;
    this.node = node;
    this.core = world.machines.pool({
      state: (dataspace, page) => node.memory.core.state(dataspace, page),
    });
  }

  /** Pages that it has leave, by chance. */
  runShort(): void {
    const { random, layout } = this.world;
    for (const dataspace of layout.dataspaces) {
      const { firstPage, pageCount } = layout.allOf(dataspace);
      const pages = Array.from({ length: pageCount }, (_, i) => firstPage + i).filter(() => random.oneIn(2));
      if (pages.length > 0) this.step({ type: 'leave', dataspace, pages });
    }
  }

  private step(event: PoolEvent): void {
    for (const action of this.core.step(event, this.node.clockMs)) this.perform(action);
  }

  private perform(action: PoolAction): void {
    const { node, world } = this;
    switch (action.type) {
      case 'look': {
        const others = world.nodes.filter(({ name, runs }) => name !== node.name && runs);
        const neighbours = others.map(({ name }) => {
          return { name, roomPages: world.random.below(ROOM_MAX) };
        });
        node.after(world.network.delayMs(), () => this.step({ type: 'neighbours', neighbours }));
        return;
      }
      case 'spare':
        world.history.note(world, node.name, 'could spare', action.run);
        node.memory.spare(action.run);
        return;
      case 'offer':
        this.offer(action);
        return;
      case 'stay':
        return;
      default:
        unreachable(action);
    }
  }

  private offer({ offer, to, runs, deadlineMs }: Extract<PoolAction, { type: 'offer' }>): void {
    const { node, world } = this;
    const { network, random } = world;
    const refused = () => this.step({ type: 'refused', offer });
    const { generation } = node;
    const answer = (tell: () => void) => node.answered(generation, network.delayMs(), tell);
    const other = world.nodes.find(({ name }) => name === to)!;
    for (const run of runs) world.history.note(world, node.name, `offers to ${to}`, run);
    if (!other.runs || other.isLeaving || random.oneIn(REFUSES_ONE_IN)) answer(refused);
    else
      other.after(network.delayMs(), () =>
        other.adopt(
          runs,
          'WRITE',
          () => answer(() => this.step({ type: 'taken', offer, roomPages: random.below(ROOM_MAX) })),
          () => answer(refused),
        ),
      );
    node.timer(deadlineMs, refused);
  }
}
