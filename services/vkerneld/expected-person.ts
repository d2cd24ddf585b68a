import { PERSON } from '@odonata/rpc/identity/person.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';

const SHOWN = 40;

/** Whose something is to be; empty: one's own. @throws RpcError INVALID_ARGUMENT */
export function expectPerson(user: string): void {
  if (user === '' || PERSON.test(user)) return;
  const shown = JSON.stringify(user.slice(0, SHOWN));
  throw invalidField('user', `${shown} is no name of a person: small letters, digits, _ and -, at most 32`);
}
