// Routers in a random graph, as they ship (libs/syslink/routes), on a network that loses, repeats and delays what they
// say. A round is a tick of each router. Faults are links that end, routers that die and come back as a new life, and cuts
// through the whole graph that nobody is told of.
import type { LinkMessage, Statement } from '@odonata/syslink/routes/advertisement.ts';
import { RouteTable } from '@odonata/syslink/routes/route-table.ts';
import { Random } from '../random.ts';

export type MakeTable = (own: Statement, tie: number) => RouteTable<Statement>;

export interface GraphOptions {
  readonly seed: number;
  readonly routers: number;
  /** Of a router, on average; the graph is connected as long as all of its links are there. */
  readonly links: number;
  /** Of a message: lost once in so many. */
  readonly lostOneIn: number;
  readonly make?: MakeTable;
}

interface Edge {
  readonly ends: readonly [number, number];
  /** Of the two link numbers while it is up. */
  links: readonly [number, number] | undefined;
}

interface Flying {
  readonly to: number;
  readonly link: number;
  readonly message: LinkMessage<Statement>;
}

export class RouterGraph {
  readonly random: Random;
  readonly tables: RouteTable<Statement>[] = [];
  /** False: it is dead. */
  readonly alive: boolean[] = [];
  readonly edges: Edge[] = [];
  /** Which side of the cut a router is on; undefined: there is none. */
  #cut: boolean[] | undefined;
  readonly #make: MakeTable;
  readonly #byLink = new Map<number, { edge: Edge; end: 0 | 1 }>();
  #flying = new Map<number, Flying[]>();
  #lostOneIn: number;
  #lastLink = 0;
  #lastRouter = 0;
  round = 0;
  /** Messages of the type `routes`, and targets in them; words of life; since the last `count`. */
  sent = { routes: 0, targets: 0, alive: 0 };
  readonly #sequence: number[] = [];

  constructor({
    seed,
    routers,
    links,
    lostOneIn,
    make = (own, tie) => new RouteTable(own, tie),
  }: GraphOptions) {
    this.random = new Random(seed);
    this.#make = make;
    this.#lostOneIn = lostOneIn;
    for (let i = 0; i < routers; i++) {
      this.alive.push(false);
      this.#sequence.push(0);
    }
    // A tree at random, and more links until there are enough.
    for (let i = 1; i < routers; i++) this.#edge(this.random.below(i), i);
    while (this.edges.length < (routers * links) / 2) {
      const [a, b] = [this.random.below(routers), this.random.below(routers)];
      if (a !== b && !this.edges.some(({ ends }) => ends.includes(a) && ends.includes(b))) this.#edge(a, b);
    }
    for (let i = 0; i < routers; i++) this.revive(i);
  }

  #edge(a: number, b: number): void {
    this.edges.push({ ends: [a, b], links: undefined });
  }

  revive(i: number): void {
    if (this.alive[i]) return;
    this.alive[i] = true;
    this.#sequence[i] = 0;
    this.#lastRouter += 1;
    // Numbers of lives are in no order.
    const router = Math.imul(this.#lastRouter, 0x9e3779b1) >>> 0;
    this.tables[i] = this.#make(this.#statement(i, router, this.round + 1), this.random.below(2 ** 24));
  }

  #statement(i: number, router: number, epoch: number): Statement {
    this.#sequence[i]! += 1;
    return {
      router,
      name: `r${i}`,
      epoch,
      sequence: this.#sequence[i]!,
      names: [`at-r${i}-${this.#sequence[i]}`, `r${i}`],
    };
  }

  /** Somebody attached there, or left. */
  state(i: number): void {
    const table = this.tables[i]!;
    if (this.alive[i])
      table.step({ type: 'stated', statement: this.#statement(i, table.own.router, table.own.epoch) });
  }

  kill(i: number): void {
    this.alive[i] = false;
    for (const edge of this.edges) if (edge.ends.includes(i)) this.unlink(edge);
  }

  link(edge: Edge): void {
    const [a, b] = edge.ends;
    if (edge.links !== undefined || !this.alive[a] || !this.alive[b] || this.#isCut(edge)) return;
    const links = [++this.#lastLink, ++this.#lastLink] as const;
    edge.links = links;
    this.#byLink.set(links[0], { edge, end: 0 });
    this.#byLink.set(links[1], { edge, end: 1 });
    this.tables[a]!.step({ type: 'linkUp', link: links[0], neighbour: this.tables[b]!.own.router });
    this.tables[b]!.step({ type: 'linkUp', link: links[1], neighbour: this.tables[a]!.own.router });
  }

  unlink(edge: Edge): void {
    const { links } = edge;
    if (links === undefined) return;
    edge.links = undefined;
    for (const [end, link] of links.entries()) {
      this.#byLink.delete(link);
      this.tables[edge.ends[end]!]!.step({ type: 'linkDown', link });
    }
  }

  /** In two halves at random: links over it stay, and nothing comes through. */
  cut(): void {
    this.#cut = this.alive.map(() => this.random.oneIn(2));
  }

  #isCut({ ends: [a, b] }: Edge): boolean {
    return this.#cut !== undefined && this.#cut[a] !== this.#cut[b];
  }

  /** Faults end: all routers live, all links come up, nothing is lost any more. */
  heal(): void {
    this.#cut = undefined;
    this.#lostOneIn = 0;
    for (let i = 0; i < this.alive.length; i++) this.revive(i);
  }

  /** @param churn links and routers that change in this round, at most */
  step(churn = 0): void {
    this.round += 1;
    for (let i = 0; i < churn; i++) this.#fault();
    for (const edge of this.edges) if (this.random.oneIn(3)) this.link(edge);
    const due = this.#flying.get(this.round) ?? [];
    this.#flying.delete(this.round);
    for (const { to, link, message } of due) {
      if (this.#byLink.has(link))
        this.#carryOut(to, this.tables[to]!.step({ type: 'received', link, message }));
    }
    for (const [i, table] of this.tables.entries()) {
      if (this.alive[i]) this.#carryOut(i, table.step({ type: 'tick' }));
    }
  }

  #fault(): void {
    const i = this.random.below(this.alive.length);
    switch (this.random.below(8)) {
      case 0:
        this.kill(i);
        break;
      case 1:
        this.revive(i);
        break;
      case 2:
      case 3:
        this.state(i);
        break;
      default:
        this.unlink(this.random.pick(this.edges));
    }
  }

  #carryOut(from: number, actions: ReturnType<RouteTable<Statement>['step']>): void {
    for (const action of actions) {
      const at = this.#byLink.get(action.link);
      if (at === undefined) continue;
      if (action.type === 'end') {
        if (action.why === 'hostile')
          throw new Error(`r${from} ends a link of one of its kind: ${action.reason}`);
        this.unlink(at.edge);
        continue;
      }
      if (action.message.type === 'alive') this.sent.alive += 1;
      if (action.message.type === 'routes') {
        this.sent.routes += 1;
        this.sent.targets += action.message.targets.length;
      }
      if (this.#isCut(at.edge) || this.random.oneIn(this.#lostOneIn)) continue;
      const end = 1 - at.end;
      this.#fly({ to: at.edge.ends[end]!, link: at.edge.links![end]!, message: action.message });
    }
  }

  #fly(flying: Flying): void {
    const times = this.#lostOneIn > 0 && this.random.oneIn(20) ? 2 : 1;
    for (let i = 0; i < times; i++) {
      // A stream keeps its order once nothing goes wrong any more.
      const round = this.round + 1 + (this.#lostOneIn > 0 ? this.random.below(3) : 0);
      const there = this.#flying.get(round);
      if (there === undefined) this.#flying.set(round, [flying]);
      else there.push(flying);
    }
  }

  /** Hops from a router to all others over links that are up; undefined: there is no way. */
  distancesFrom(from: number): (number | undefined)[] {
    const distances: (number | undefined)[] = this.alive.map(() => undefined);
    const neighbours = this.alive.map((): number[] => []);
    for (const {
      ends: [a, b],
      links,
    } of this.edges) {
      if (links === undefined) continue;
      neighbours[a]!.push(b);
      neighbours[b]!.push(a);
    }
    distances[from] = 0;
    let edge = [from];
    for (let hops = 1; edge.length > 0; hops++) {
      edge = edge.flatMap((at) => {
        const fresh = neighbours[at]!.filter((next) => distances[next] === undefined);
        for (const next of fresh) distances[next] = hops;
        return fresh;
      });
    }
    return distances;
  }

  /** The router at the other end of a link. */
  otherEnd(link: number): number | undefined {
    const at = this.#byLink.get(link);
    return at?.edge.ends[1 - at.end];
  }
}
