// What sessions are called: a virtual kernel's after the person whose it is and itself, a program's of a person after that person
// and a word of its own.
//
//   alice/default     the virtual kernel `default` of alice
//   alice:web-4711    a program of alice's, outside of any virtual kernel
import { Role } from '@odonata/proto/auth/v1/access';
import { ANYONE, type Caller, personOf } from '@odonata/rpc/identity/identity.ts';

/** Neither a person's name nor a virtual kernel's has a colon. */
const PROGRAM = /^[^/:]+:[A-Za-z0-9._-]{1,64}$/;

export const isProgramName = (name: string): boolean => PROGRAM.test(name);

/** True where whoever calls may have a session of this name. */
export function mayBeNamed(name: string, node: string, caller: Caller): boolean {
  if (caller === ANYONE) return true;
  const person = personOf(caller);
  // Its supervisor gave it the name.
  if (caller.role === Role.VKERNEL)
    return name.startsWith(`${person}/`) && caller.name === `${node}/${name.slice(`${person}/`.length)}`;
  return isProgramName(name) && name.startsWith(`${person}:`);
}
