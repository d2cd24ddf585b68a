// Who is attached to other routers, as the router asks it.
import type { Address } from '@odonata/proto/syslink/v1/syslink';
import type { Holder } from '@odonata/syslink/names/name-table.ts';
import type { Endpoint } from './registry.ts';

export interface Elsewhere {
  /** The line that leads there now; undefined: nobody knows of it. @param from whose line it must not go back by */
  linkTo(to: Address, from: Endpoint): Endpoint | undefined;
  /** Names that were registered there. @param name only this one */
  holders(name?: string): readonly Holder[];
  /** Names of endpoints that are attached there. */
  names(): readonly string[];
}

export const NOBODY_ELSEWHERE: Elsewhere = { linkTo: () => undefined, holders: () => [], names: () => [] };
