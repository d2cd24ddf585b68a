// Whose a dataspace is, and who may do what with it: as of a file, an owner, a group and a mode.
//
//   mode    0640 = 110 100 000     the owner reads and writes, the group reads, others do neither
//
// The first class that somebody is of decides: the owner, then the group, then others. Removing it, and changing its mode,
// are the owner's. Names are one space: who asks for what they may not have is told whose it is.
import { isBorrowed } from '@odonata/coherency/gateway.ts';
import type { RpcError } from '@odonata/rpc/error.ts';
import { AccessRefusal } from '@odonata/rpc/identity/access-refusal.ts';
import { ANYONE, PERSON } from '@odonata/rpc/identity/identity.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';

export interface Ownership {
  /** NOBODYS: nobody's in particular. */
  owner: string;
  /** Empty: none. */
  group: string;
  mode: number;
}

export interface Allowed {
  read: boolean;
  write: boolean;
}

type Owned = Ownership & { name: string };

const READ = 4;
const WRITE = 2;
const WRITE_BITS = 0o222;
const MODE_MAX = 0o666;
const DEFAULT_MODE = 0o600;

/** The owner of what was made without identities; no person of that name owns it. */
export const NOBODYS = ANYONE.name;
/** What was made before dataspaces had owners, or without identities, is open to all, as it was. */
export const OPEN: Ownership = { owner: NOBODYS, group: '', mode: 0o666 };

const isOwner = ({ owner }: Ownership, { user }: Requester): boolean => owner !== NOBODYS && user === owner;

export function allowed(of: Owned, by: Requester): Allowed {
  const may = ownAllowed(of, by);
  return isReadOnly(of) ? { ...may, write: false } : may;
}

// Of another cluster, which lets nobody here write it: its gateway made it so.
const isReadOnly = ({ name, mode }: Owned): boolean => isBorrowed(name) && (mode & WRITE_BITS) === 0;

function ownAllowed(of: Ownership, by: Requester): Allowed {
  if (by.all) return { read: true, write: true };
  const shift = isOwner(of, by) ? 6 : of.group !== '' && by.groups.includes(of.group) ? 3 : 0;
  const bits = of.mode >> shift;
  return { read: (bits & READ) !== 0, write: (bits & WRITE) !== 0 };
}

/** For lists: who may not read it does not see it, but its owner. */
export const isSeenBy = (of: Owned, by: Requester): boolean => allowed(of, by).read || isOwner(of, by);

/** `bob (mode 640, group physics)` */
function shown({ owner, group, mode }: Ownership): string {
  return `${owner} (mode ${mode.toString(8).padStart(3, '0')}${group && `, group ${group}`})`;
}

const refused = (of: Owned, { user }: Requester, what: string): RpcError =>
  new AccessRefusal(
    'owner',
    isReadOnly(of) && what === 'write'
      ? `dataspace ${of.name} is of another cluster, which lets it be read and not written`
      : `dataspace ${of.name} belongs to ${shown(of)}; ${user || 'who asks'} may not ${what} it`,
    { user },
  );

/** @throws RpcError PERMISSION_DENIED unless they may do this */
export function expectAllowed(of: Owned, by: Requester, what: keyof Allowed): Allowed {
  const may = allowed(of, by);
  if (may[what]) return may;
  throw refused(of, by, what);
}

/** @throws RpcError PERMISSION_DENIED unless it is theirs */
export function expectOwner(of: Owned, by: Requester, what: string): void {
  if (!by.all && !isOwner(of, by)) throw refused(of, by, what);
}

/** Of what somebody makes. @throws RpcError INVALID_ARGUMENT, PERMISSION_DENIED */
export function ownershipFor(
  by: Requester,
  name: string,
  { mode, group }: { mode?: number; group: string },
): Ownership {
  const owner = by.user === '' ? NOBODYS : by.user;
  const made = { owner, group, mode: mode ?? (owner === NOBODYS ? OPEN.mode : DEFAULT_MODE) };
  expectMode(made.mode);
  expectGroup(name, group, by);
  return made;
}

/** What it is after a change. @throws RpcError INVALID_ARGUMENT, PERMISSION_DENIED */
export function changed(
  of: Owned,
  by: Requester,
  wanted: { owner?: string; group?: string; mode?: number },
): Ownership {
  expectOwner(of, by, 'change the owner or mode of');
  const { owner = of.owner, group = of.group, mode = of.mode } = wanted;
  expectMode(mode);
  // What its own cluster does not let be written nobody here does.
  if (isReadOnly(of) && (mode & WRITE_BITS) !== 0) throw refused(of, by, 'write');
  if (owner !== of.owner) {
    if (!PERSON.test(owner)) throw invalidField('owner', `owner ${shortened(owner)}: no name of a person`);
    if (!by.all)
      throw new AccessRefusal(
        'owner',
        `dataspace ${of.name}: only an admin gives what is of ${of.owner} to ${owner}`,
        { user: by.user },
      );
  }
  if (group !== of.group) expectGroup(of.name, group, by);
  return { owner, group, mode };
}

function expectMode(mode: number): void {
  if ((mode & ~MODE_MAX) === 0) return;
  throw invalidField(
    'mode',
    `mode ${mode.toString(8)}: use 4 (read) and 2 (write) of owner, group and others`,
  );
}

function expectGroup(name: string, group: string, by: Requester): void {
  if (group === '') return;
  if (!PERSON.test(group)) throw invalidField('group', `group ${shortened(group)}: no name of a group`);
  if (by.all || by.groups.includes(group)) return;
  const own = by.groups.length === 0 ? 'none' : by.groups.join(', ');
  throw new AccessRefusal(
    'owner',
    `dataspace ${name}: ${by.user} is not in group ${group}; groups of ${by.user}: ${own} (an admin gives them: vkctl user add --group)`,
    { user: by.user },
  );
}

const shortened = (name: string): string => JSON.stringify(name.slice(0, 40));
