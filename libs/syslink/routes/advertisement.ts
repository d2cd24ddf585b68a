// What routers tell each other about who is reached through whom.
//
//   statement  what a router says of itself, signed by it: who it is, which life, and the names that are attached there.
//              It goes through the graph as it is.
//   route      one way to a router, as a neighbour tells it: all routers on the way, the neighbour first, the target last.
//              Its distance is their number. Whoever finds themselves in it drops it, so no route ever turns in a circle.
//   tie        a random number a router, summed up on the way: settles which of two ways of one length is taken.
//
// A link carries messages with serial numbers. Who finds a gap asks for all of it again; who has nothing to say still
// tells the last number now and then, so that the loss of the last message is found too.

/** Routers on a way, both ends counted without the one that looks: none is longer. */
export const HOPS_MAX = 16;
/** Ways to one target that a router tells each neighbour. */
export const RELAYED = 2;
/** Ways to one target that a neighbour may tell. */
export const ROUTES_MAX = 8;
/** Targets that a neighbour may tell. */
export const TARGETS_MAX = 1_024;
/** Names of one statement. */
export const NAMES_MAX = 1_024;
/** Neighbours. */
export const LINKS_MAX = 64;
/** Targets in one message; the rest follows in the next. */
export const TARGETS_A_MESSAGE = 16;
/** After so many ticks without a word the last number is told. */
export const ALIVE_TICKS = 10;
/** After so many ticks without a word from it a link is over. */
export const SILENT_TICKS = 40;

export interface Statement {
  /** Random, of this life of this router; 32 bits. */
  readonly router: number;
  /** Of each life of this router. */
  readonly name: string;
  /** A later life of the same name has a greater one, and is believed. */
  readonly epoch: number;
  /** Within a life: a later statement takes the place of an earlier one. */
  readonly sequence: number;
  /** Who is attached there. */
  readonly names: readonly string[];
}

export interface Route {
  /** Routers on the way: first the neighbour, last the target. */
  readonly path: readonly number[];
  readonly tie: number;
}

/** All that a neighbour says of one target: it takes the place of what it said before. No routes: there is no way. */
export interface TargetRoutes<S extends Statement> {
  readonly router: number;
  readonly statement?: S | undefined;
  readonly routes: readonly Route[];
}

export type LinkMessage<S extends Statement> =
  | {
      readonly type: 'routes';
      /** Of the messages of this type on this link and direction, from 1. */
      readonly serial: number;
      /** Begins the whole of it: what does not come in it is gone. */
      readonly all: boolean;
      /** The whole of it goes on in the next message. */
      readonly more: boolean;
      readonly targets: readonly TargetRoutes<S>[];
    }
  /** The last serial that was sent. */
  | { readonly type: 'alive'; readonly serial: number }
  /** Something was lost: tell all of it again. */
  | { readonly type: 'again' };

/** The better one first: fewer hops, then the smaller tie, then in some order that is the same everywhere. */
export function compareRoutes(a: Route, b: Route): number {
  if (a.path.length !== b.path.length) return a.path.length - b.path.length;
  if (a.tie !== b.tie) return a.tie - b.tie;
  const i = a.path.findIndex((router, at) => router !== b.path[at]);
  return i < 0 ? 0 : a.path[i]! - b.path[i]!;
}

/** True where `a` takes the place of `b`, which is of the same router number. */
export const isNewer = (a: Statement, b: Statement): boolean =>
  a.epoch !== b.epoch ? a.epoch > b.epoch : a.sequence > b.sequence;

/** What is wrong with what a neighbour says of a target, in a line; undefined: nothing. */
export function whyNoTarget<S extends Statement>(
  { router, statement, routes }: TargetRoutes<S>,
  neighbour: number,
): string | undefined {
  if (routes.length === 0) return undefined;
  if (routes.length > ROUTES_MAX) return `${routes.length} routes to one router; at most ${ROUTES_MAX}`;
  if (statement === undefined) return 'routes to a router without its statement';
  if (statement.router !== router) return 'a statement of another router';
  if (statement.names.length > NAMES_MAX) return `${statement.names.length} names; at most ${NAMES_MAX}`;
  for (const { path } of routes) {
    if (path.length > HOPS_MAX) return `a way of ${path.length} hops; at most ${HOPS_MAX}`;
    if (path[0] !== neighbour || path.at(-1) !== router)
      return 'a way that does not lead from the neighbour to the target';
    if (new Set(path).size !== path.length) return 'a way that turns in a circle';
  }
  return undefined;
}
