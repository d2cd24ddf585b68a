// Why a fault waits for its page; one line for people.
import type { Fault } from '@odonata/coherency/node/memory/waiting.ts';
import type { Directories } from '@odonata/pmap/wire/directories.ts';
import type { Backing } from '../backing.ts';
import type { MapEntry } from '../sessions/map-entry.ts';
import type { CoherentMemory } from './coherent-memory.ts';

/** The node around its memory. */
interface Around {
  readonly memory: CoherentMemory;
  readonly backing: Backing;
  readonly line: { readonly directories: Directories | undefined };
  /** @see Node.usable */
  usable(dataspace: bigint, page: number): boolean;
}

export function whyWaits(node: Around, { entry, page }: Fault<MapEntry>): string {
  const { id } = entry.dataspace;
  const { memory, backing } = node;
  const { directories } = node.line;
  if (directories === undefined || !directories.connected) return 'the directory does not answer';
  if (!directories.usable(id, page)) return 'the directory that leads its shard has not answered yet';
  if (!node.usable(id, page)) return "the directory that leads the dataspace's range locks does not answer";
  if (backing.isFetching(id, page)) return 'the backing store does not answer';
  if (memory.isAsked(id, page)) return 'it was asked for, and whoever has it has not sent it yet';
  return 'it goes on as soon as its turn comes';
}
