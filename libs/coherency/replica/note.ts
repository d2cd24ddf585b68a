// What a replica has kept where the next leader reads it. See notes.ts.
import type { Membership } from './members.ts';

export type Note =
  /** A node was taken in; that buries whatever holder of it was noted before. */
  | { about: 'taken-in'; node: string; membership: Membership }
  /** A node's holder is dead: the next leader does not believe it. */
  | { about: 'dead'; node: string }
  /** All holders have reported: from then on the notes of this leader of the shard are those that count. */
  | { about: 'rebuilt'; shard: number };
