// Faults in the routes, each of which must be found: shipped classes with one method overridden.
import type { Route, Statement, TargetRoutes } from '@odonata/syslink/routes/advertisement.ts';
import { compareRoutes, HOPS_MAX } from '@odonata/syslink/routes/advertisement.ts';
import { RouteLink } from '@odonata/syslink/routes/link.ts';
import { RouteTable } from '@odonata/syslink/routes/route-table.ts';
import type { MakeTable } from './router-graph.ts';

type Table = RouteTable<Statement>;

class LongestFirst extends RouteTable<Statement> {
  protected override compare(a: Route, b: Route): number {
    return -compareRoutes(a, b);
  }
}

class TiesOnly extends RouteTable<Statement> {
  protected override compare(a: Route, b: Route): number {
    return a.tie - b.tie;
  }
}

class NoSplitHorizon extends RouteTable<Statement> {
  protected override isOpen(path: readonly number[]): boolean {
    return path.length <= HOPS_MAX;
  }
}

class WithdrawsNothing extends RouteTable<Statement> {
  protected override told(router: number, neighbour: number): TargetRoutes<Statement> {
    const told = super.told(router, neighbour);
    if (told.routes.length === 0) return this.last.get(`${router}/${neighbour}`) ?? told;
    this.last.set(`${router}/${neighbour}`, told);
    return told;
  }
  private readonly last = new Map<string, TargetRoutes<Statement>>();
}

class ForgetsNoLink extends RouteTable<Statement> {
  protected override linkDown(): void {}
}

class FirstHopOnly extends RouteTable<Statement> {
  protected override told(router: number, neighbour: number): TargetRoutes<Statement> {
    const told = super.told(router, neighbour);
    return { ...told, routes: told.routes.filter(({ path }) => path.length <= 2) };
  }
}

class OldStatements extends RouteTable<Statement> {
  private readonly first = new Map<number, Statement>();
  protected override told(router: number, neighbour: number): TargetRoutes<Statement> {
    const told = super.told(router, neighbour);
    const { statement } = told;
    if (statement === undefined || router === this.own.router) return told;
    if (!this.first.has(router)) this.first.set(router, statement);
    return { ...told, statement: this.first.get(router) };
  }
}

class DeafToGaps extends RouteTable<Statement> {
  protected override newLink(number: number, neighbour: number): RouteLink<Statement> {
    return new (class extends RouteLink<Statement> {
      protected override missed(): void {}
    })(number, neighbour);
  }
}

const MUTANTS: Readonly<Record<string, new (own: Statement, tie: number) => Table>> = {
  'the longest way first': LongestFirst,
  'ways by their tie, however long': TiesOnly,
  'ways through oneself, and back to whom they came from': NoSplitHorizon,
  'a way that ended is not withdrawn': WithdrawsNothing,
  'ways over a link that ended': ForgetsNoLink,
  'nothing is relayed further than one hop': FirstHopOnly,
  'the first statement of a router is told for ever': OldStatements,
  'what was lost is not asked for again': DeafToGaps,
};

export const ROUTE_MUTANTS: readonly (readonly [name: string, make: MakeTable])[] = Object.entries(
  MUTANTS,
).map(([name, Mutant]) => [name, (own, tie) => new Mutant(own, tie)]);
