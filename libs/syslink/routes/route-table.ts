// Who is reached through whom: the routes of one router, as a pure machine. Events in, actions out; time is `tick`, chance
// is `tie`. What it guarantees, and why:
//
//   no loop       a route names every router on its way, and whoever finds themselves in it drops it. A router sends by its
//                 shortest route, and its neighbour's shortest one is shorter by one: the distance falls at each hop.
//   no black hole a neighbour tells the whole of what it says of a target at once, an empty one where there is no way any
//                 more; what is lost is found by its number and told again.
//   bounded       per tick and link what has changed, once; a way of more than HOPS_MAX is none, so what is gone is
//                 forgotten within so many rounds. All tables have limits (advertisement.ts).
//
// The caller's duties: one link number is used once; a statement that comes in is checked (signature, certificate) before;
// `tick` comes at even intervals; what is to be sent is sent in order, or lost.
import {
  compareRoutes,
  HOPS_MAX,
  isNewer,
  LINKS_MAX,
  type LinkMessage,
  RELAYED,
  type Route,
  type Statement,
  type TargetRoutes,
} from './advertisement.ts';
import { RouteLink } from './link.ts';

export type RouteEvent<S extends Statement> =
  | { readonly type: 'linkUp'; readonly link: number; readonly neighbour: number }
  | { readonly type: 'linkDown'; readonly link: number }
  | { readonly type: 'received'; readonly link: number; readonly message: LinkMessage<S> }
  /** What this router says of itself now. */
  | { readonly type: 'stated'; readonly statement: S }
  /** It stops soon: nobody is to go through it. */
  | { readonly type: 'drain' }
  | { readonly type: 'tick' };

export type RouteAction<S extends Statement> =
  | { readonly type: 'send'; readonly link: number; readonly message: LinkMessage<S> }
  /** The neighbour broke a rule, or has been silent: the link is over, and `linkDown` needs not come. */
  | {
      readonly type: 'end';
      readonly link: number;
      readonly why: 'hostile' | 'silent' | 'full';
      readonly reason: string;
    };

/** A way that may be taken now. */
export interface Way extends Route {
  readonly link: number;
}

export class RouteTable<S extends Statement> {
  readonly #tie: number;
  #own: S;
  #draining = false;
  protected readonly links = new Map<number, RouteLink<S>>();
  /** Targets of which something may have to be told. */
  readonly #changed = new Set<number>();
  /** By name of a router, the greatest epoch that is heard of. */
  #latest = new Map<string, number>();
  /** By name of an endpoint, the routers that have it; undefined: to be made anew. */
  #holders: Map<string, number[]> | undefined;
  /** Messages that were sent, and what was told in them. */
  readonly counters = { messages: 0, targets: 0, alive: 0 };

  /** @param tie random, 24 bits */
  constructor(own: S, tie: number) {
    this.#own = own;
    this.#tie = tie;
  }

  step(event: RouteEvent<S>): RouteAction<S>[] {
    switch (event.type) {
      case 'linkUp':
        return this.#linkUp(event.link, event.neighbour);
      case 'linkDown':
        this.linkDown(event.link);
        return [];
      case 'received':
        return this.#received(event.link, event.message);
      case 'stated':
        this.#own = event.statement;
        this.#changed.add(event.statement.router);
        return [];
      case 'drain':
        this.#draining = true;
        for (const router of this.targets()) this.#changed.add(router);
        return [];
      case 'tick':
        return this.#tick();
      default:
        event satisfies never;
        return [];
    }
  }

  get own(): S {
    return this.#own;
  }

  /** Other routers that somebody has told of, reachable or not. */
  targets(): Set<number> {
    return new Set([...this.links.values()].flatMap(({ heard }) => [...heard.keys()]));
  }

  /** Ways to a router that may be taken, the best first; one a neighbour. */
  ways(router: number, without?: number): Way[] {
    const best = new Map<number, Way>();
    for (const { number, neighbour, heard } of this.links.values()) {
      const told = heard.get(router);
      if (told === undefined || this.isSuperseded(told.statement)) continue;
      for (const { path, tie } of told.routes) {
        if (!this.isOpen(path, without)) continue;
        const way = { link: number, path, tie };
        const known = best.get(neighbour);
        if (known === undefined || this.compare(way, known) < 0) best.set(neighbour, way);
      }
    }
    return [...best.values()].sort((a, b) => this.compare(a, b));
  }

  /** The newest statement of a router that there is a way to. */
  statementOf(router: number): S | undefined {
    let newest: S | undefined;
    for (const { heard } of this.links.values()) {
      const statement = heard.get(router)?.statement;
      if (statement === undefined || this.isSuperseded(statement)) continue;
      if (newest === undefined || isNewer(statement, newest)) newest = statement;
    }
    return newest;
  }

  /** The nearest router where a name is attached, and how it is reached. */
  holderOf(name: string): { readonly router: number; readonly way: Way } | undefined {
    this.#holders ??= this.#indexNames();
    let nearest: { router: number; way: Way } | undefined;
    for (const router of this.#holders.get(name) ?? []) {
      const [way] = this.ways(router);
      if (way !== undefined && (nearest === undefined || this.compare(way, nearest.way) < 0))
        nearest = { router, way };
    }
    return nearest;
  }

  /** A later life of its name is heard of. */
  protected isSuperseded({ name, epoch }: Statement): boolean {
    return epoch < (this.#latest.get(name) ?? 0);
  }

  /** @param without a neighbour that must not be on the way */
  protected isOpen(path: readonly number[], without: number | undefined): boolean {
    return (
      path.length <= HOPS_MAX &&
      !path.includes(this.#own.router) &&
      (without === undefined || !path.includes(without))
    );
  }

  protected compare(a: Route, b: Route): number {
    return compareRoutes(a, b);
  }

  protected newLink(number: number, neighbour: number): RouteLink<S> {
    return new RouteLink(number, neighbour);
  }

  protected linkDown(number: number): void {
    const link = this.links.get(number);
    if (link === undefined) return;
    this.links.delete(number);
    this.#changes(link.heard.keys());
  }

  #linkUp(number: number, neighbour: number): RouteAction<S>[] {
    if (this.links.size >= LINKS_MAX)
      return [{ type: 'end', link: number, why: 'full', reason: `${LINKS_MAX} links already` }];
    if (neighbour === this.#own.router)
      return [{ type: 'end', link: number, why: 'full', reason: 'a link to this router itself' }];
    this.links.set(number, this.newLink(number, neighbour));
    return [];
  }

  #received(number: number, message: LinkMessage<S>): RouteAction<S>[] {
    const link = this.links.get(number);
    if (link === undefined) return [];
    const changed = link.receive(message);
    if (typeof changed === 'string') {
      this.linkDown(number);
      return [{ type: 'end', link: number, why: 'hostile', reason: changed }];
    }
    this.#changes(changed);
    return [];
  }

  #changes(routers: Iterable<number>): void {
    let any = false;
    for (const router of routers) {
      any = true;
      this.#changed.add(router);
    }
    if (!any) return;
    this.#holders = undefined;
    const before = this.#latest;
    this.#latest = this.#epochs();
    for (const { heard } of this.links.values()) {
      for (const [router, { statement }] of heard) {
        if (before.get(statement.name) !== this.#latest.get(statement.name)) this.#changed.add(router);
      }
    }
  }

  #epochs(): Map<string, number> {
    const latest = new Map([[this.#own.name, this.#own.epoch]]);
    for (const { heard } of this.links.values()) {
      for (const { statement } of heard.values()) {
        const { name, epoch } = statement;
        if (epoch > (latest.get(name) ?? 0)) latest.set(name, epoch);
      }
    }
    return latest;
  }

  #indexNames(): Map<string, number[]> {
    const holders = new Map<string, number[]>();
    for (const router of this.targets()) {
      for (const name of this.statementOf(router)?.names ?? []) {
        const all = holders.get(name);
        if (all === undefined) holders.set(name, [router]);
        else all.push(router);
      }
    }
    return holders;
  }

  #tick(): RouteAction<S>[] {
    const actions: RouteAction<S>[] = [];
    const all = () => new Set([this.#own.router, ...this.targets()]);
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const [number, link] of [...this.links]) {
      const messages = link.tick(all, changed, (router) => this.told(router, link.neighbour));
      for (const message of messages) {
        this.counters.messages += 1;
        if (message.type === 'routes') this.counters.targets += message.targets.length;
        else this.counters.alive += 1;
        actions.push({ type: 'send', link: number, message });
      }
      if (!link.isSilent) continue;
      this.linkDown(number);
      actions.push({ type: 'end', link: number, why: 'silent', reason: 'nothing came for too long' });
    }
    return actions;
  }

  /** What a neighbour is told of a target: the best ways that do not lead through it (split horizon). */
  protected told(router: number, neighbour: number): TargetRoutes<S> {
    const own = this.#own;
    if (router === own.router)
      return { router, statement: own, routes: [{ path: [own.router], tie: this.#tie }] };
    if (this.#draining) return { router, routes: [] };
    const routes = this.ways(router, neighbour)
      .filter(({ path }) => path.length < HOPS_MAX)
      .slice(0, RELAYED)
      .map(({ path, tie }) => ({ path: [own.router, ...path], tie: tie + this.#tie }));
    return { router, statement: routes.length > 0 ? this.statementOf(router) : undefined, routes };
  }
}
