// A fault in the protocol that the simulator must find.
import type { Duties, Machines } from '../machines.ts';
import type { ProfileName } from '../profiles.ts';

export interface Mutant {
  name: string;
  /** Where it shows. */
  profile: ProfileName;
  machines?: Partial<Machines>;
  duties?: Partial<Duties>;
}
