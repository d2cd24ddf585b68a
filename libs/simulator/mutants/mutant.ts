// A fault in the protocol that the simulator must find.

import type { ProfileName } from '../profiles.ts';
import type { Duties, Machines } from '../world/machines.ts';

export interface Mutant {
  name: string;
  /** Where it shows. */
  profile: ProfileName;
  /**
   * It did not show in 20 million steps yet: other rules stand behind the one that it breaks, or it takes a rare order of
   * things. `seldom.test.ts` finds it.
   */
  seldom?: boolean;
  /** A cluster where it shows; without one it shows in the first of any seed. */
  seed?: number;
  /** Sizes of the clusters, where it shows in others too seldom. */
  nodes?: number;
  pages?: number;
  shards?: number;
  few?: number;
  /** In a lease, where it shows with others than 3: now a node renews three times, or six where it maps something. */
  renewals?: number;
  machines?: Partial<Machines>;
  duties?: Partial<Duties>;
}
