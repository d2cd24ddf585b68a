// What must hold of routers that have settled, by what can be seen from outside: each message for a router or a name gets
// there by as few hops as the graph has, and who cannot be reached is known to nobody.
import { HOPS_MAX, RELAYED } from '@odonata/syslink/routes/advertisement.ts';
import type { RouterGraph } from './router-graph.ts';

/** Rounds from the end of all faults until nobody has anything to tell any more, at most. */
export const SETTLE_ROUNDS = 60;
/** Messages of routes on a link, both directions, within that, at most. */
export const MESSAGES_A_LINK = 120;
/** How often a target is told over a link, each direction, within that, on average, at most. */
export const TELLINGS = 8;

export interface Settled {
  readonly rounds: number;
  /** Messages of routes while it settled. */
  readonly messages: number;
  readonly targets: number;
}

/**
 * Faults end, and everybody comes to rest.
 * @throws Error where that takes too long, or too many messages, or routes are wrong then
 */
export function settle(graph: RouterGraph): Settled {
  graph.heal();
  graph.sent = { routes: 0, targets: 0, alive: 0 };
  const from = graph.round;
  let quietFrom = from;
  for (let before = -1; graph.round - quietFrom < 20; before = graph.sent.routes) {
    graph.step();
    if (graph.sent.routes !== before || graph.edges.some(({ links }) => links === undefined))
      quietFrom = graph.round;
    if (graph.round - from > SETTLE_ROUNDS + 20) throw new Error(`not settled after ${SETTLE_ROUNDS} rounds`);
  }
  const { routes, targets } = graph.sent;
  const most = MESSAGES_A_LINK * graph.edges.length;
  if (routes > most) throw new Error(`${routes} messages over ${graph.edges.length} links; at most ${most}`);
  const tellings = TELLINGS * 2 * graph.edges.length * graph.tables.length;
  if (targets > tellings) throw new Error(`targets were told ${targets} times; at most ${tellings}`);
  checkRoutes(graph);
  return { rounds: quietFrom - from, messages: routes, targets };
}

/** @throws Error the first thing that is wrong */
export function checkRoutes(graph: RouterGraph): void {
  const indexOf = new Map(graph.tables.map(({ own }, i) => [own.router, i]));
  for (const [from, table] of graph.tables.entries()) {
    const distances = graph.distancesFrom(from);
    for (const router of table.targets()) {
      const to = indexOf.get(router);
      if (to === undefined) throw new Error(`r${from} knows a router that is dead`);
    }
    for (const [to, distance] of distances.entries()) {
      if (to === from) continue;
      const target = graph.tables[to]!.own;
      const where = `r${from} to r${to}`;
      if (distance === undefined || distance > HOPS_MAX) {
        if (table.ways(target.router).length > 0) throw new Error(`${where}: a way where there is none`);
        continue;
      }
      for (const name of target.names) expectArrival(graph, from, to, distance, name, where);
      if (table.statementOf(target.router)?.sequence !== target.sequence)
        throw new Error(`${where}: an old statement`);
      if (table.ways(target.router).length > graph.edges.length) throw new Error(`${where}: too many ways`);
      expectSpare(graph, from, to, where);
    }
  }
}

/** Hop by hop, as messages go. */
function expectArrival(
  graph: RouterGraph,
  from: number,
  to: number,
  distance: number,
  name: string,
  where: string,
): void {
  let at = from;
  for (let hops = 0; at !== to; hops++) {
    if (hops >= distance) throw new Error(`${where}: more than ${distance} hops for ${name}`);
    const found = graph.tables[at]!.holderOf(name);
    const next = found && graph.otherEnd(found.way.link);
    if (next === undefined) throw new Error(`${where}: r${at} knows no way to ${name}`);
    at = next;
  }
}

/** Each neighbour that can lead there without us has told so: a link that breaks has its spare at hand. */
function expectSpare(graph: RouterGraph, from: number, to: number, where: string): void {
  const { own } = graph.tables[from]!;
  const target = graph.tables[to]!.own.router;
  const leading = graph.edges.filter(({ ends, links }) => {
    if (links === undefined || !ends.includes(from)) return false;
    const other = ends[0] === from ? ends[1] : ends[0];
    const table = graph.tables[other]!;
    return other === to || table.ways(target, own.router).some(({ path }) => path.length < HOPS_MAX);
  });
  const known = graph.tables[from]!.ways(target).length;
  if (known !== leading.length)
    throw new Error(
      `${where}: ${known} neighbours are known to lead there, ${leading.length} do (each tells ${RELAYED})`,
    );
}
