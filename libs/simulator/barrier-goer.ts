// A simulated process that meets others at a barrier, again and again; with new ones where it is broken.
import { create } from '@bufbuild/protobuf';
import { BarrierArrivalSchema } from '@odonata/proto/coherency/v1/coherency';
import type { Party } from './checkers/barriers.ts';
import type { ProcessVkernel } from './process.ts';

/** Until it looks whether the others of its party are there, or the quiet is over. */
const LOOK_MS = 10;
/** Who never came is not known: the first generation is not waited for without end. */
const FIRST_MS = 2_000;

export class BarrierGoer {
  readonly pid: bigint;
  doing: { what: string; page: number | undefined; sinceMs: number } | undefined;
  readonly sleepsOn = undefined;
  private readonly vkernel: ProcessVkernel;
  private party: Party | undefined;
  private generation = 0n;

  constructor(vkernel: ProcessVkernel, pid: bigint) {
    this.vkernel = vkernel;
    this.pid = pid;
  }

  get name(): string {
    return `${this.vkernel.name}/${this.pid}`;
  }

  start(): void {
    const { random, layout, barriers } = this.vkernel.world;
    const dataspace = layout.dataspaceOf(random.below(layout.pages));
    const [count, rounds] = [2 + random.below(2), 1 + random.below(30)];
    this.party = barriers.join(this.pid, { count, rounds, dataspace });
    this.generation = 0n;
    this.think();
  }

  end(): void {
    this.doing = undefined;
    if (this.party !== undefined) this.vkernel.world.barriers.ended(this.pid, this.party);
  }

  /** Its node saw that it has ended. */
  endSeen(node: number): void {
    const { vkernel, party, pid } = this;
    if (party !== undefined && this.generation === 0n && vkernel.atBarrier === pid)
      vkernel.world.barriers.endSeen(party, node);
  }

  private think(): void {
    this.doing = undefined;
    const { random } = this.vkernel.world;
    this.vkernel.after(random.oneIn(10) ? random.between(0, 100) : random.between(0, 4), () => this.begin());
  }

  private begin(): void {
    const { world } = this.vkernel;
    const party = this.party!;
    const isComplete = party.members.size === party.count;
    const rests = world.quiet && !world.barriers.isWaitedFor(party, this.generation);
    if (!isComplete || rests) this.vkernel.after(LOOK_MS, () => this.begin());
    else if (party.dead && this.generation === 0n) this.start();
    else this.come(party);
  }

  private come(party: Party): void {
    const { vkernel, generation } = this;
    const { random, barriers } = vkernel.world;
    this.doing ??= {
      what: `generation ${generation} of a barrier`,
      page: undefined,
      sinceMs: vkernel.world.nowMs,
    };
    const timeoutMs = generation === 0n ? FIRST_MS : random.oneIn(8) ? 150 : -1;
    const { dataspace, name, count } = party;
    const about = { dataspace, name, count, generation, owner: this.pid, timeoutMs: BigInt(timeoutMs) };
    const isHere = () => vkernel.alive && vkernel.node.memory.file === vkernel.file;
    vkernel.node.after(random.between(0.01, 0.2), () => {
      if (!isHere()) return;
      barriers.comes(this.pid, party, generation);
      vkernel.node.sync.barrier(vkernel, create(BarrierArrivalSchema, about), (answer) => {
        vkernel.after(random.between(0.01, 0.2), () => this.answered(party, answer));
      });
    });
  }

  private answered(party: Party, answer: string): void {
    const { barriers } = this.vkernel.world;
    if (answer === 'OK') {
      barriers.passes(this.pid, party, this.generation);
      this.generation++;
      // Nobody of those who wait for the answer to the last one hears of it by the next.
      if (this.generation === BigInt(party.rounds)) this.start();
      else this.think();
    } else if (answer === 'BROKEN') {
      barriers.breaks(this.pid, party);
      this.doing = undefined;
      this.start();
    } else if (answer === 'TIMED_OUT') {
      // One that did not come to the first one may be dead, or its node with it, and then nobody says so.
      if (this.generation === 0n && party.dead && party.seenBy.size === 0) this.start();
      else this.come(party);
    } else barriers.refused(this.pid, party, this.generation, answer);
  }
}
