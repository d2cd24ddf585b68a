// The people of a cluster of this machine: who has a certificate, in which role, and whose counts no more.
//
//   <stateDir>/identity/ca/people.json   all of them, also those that were removed
//   <stateDir>/identity/*/revoked        serial numbers that count no more, at every service
//   <stateDir>/identity/*/people         who is in, and in which groups, at every service
//
// One changes them at a time (authority-lock.ts).
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '@odonata/authority/authority.ts';
import { type Caller, PEOPLE, roleOf } from '@odonata/rpc/identity/identity.ts';
import { formatPeople, type ListedPerson, PEOPLE_FILE } from '@odonata/rpc/identity/people-list.ts';
import { z } from 'zod';
import { Failure } from '../failure.ts';
import { alone, replaceFile, type AuthorityPlace as Where } from './authority-lock.ts';
import { adminName, authorityDir, identityDir } from './certificates.ts';
import { readNodes, revokedOf } from './nodes-file.ts';

const personSchema = z.object({
  name: z.string(),
  role: z.enum(['admin', 'operator', 'user', 'viewer']),
  groups: z.array(z.string()),
  serial: z.string(),
  sinceMs: z.number(),
  untilMs: z.number(),
  removedMs: z.number().optional(),
});
export type Person = z.infer<typeof personSchema>;
export type PersonRole = Person['role'];

export const PERSON_ROLES = PEOPLE as readonly PersonRole[];
const DAY_MS = 86_400_000;
const NEW = '.new-';
/** So many are remembered, those that were removed too. */
const PEOPLE_LIMIT = 10_000;
/** As a certificate takes them. */
const GROUPS_CHARS_MAX = 200;

/** What somebody needs to come in. */
export interface Credential {
  readonly certificate: string;
  readonly key: string;
  readonly authority: string;
}

const fileOf = (plan: Where): string => join(authorityDir(plan), 'people.json');

/** By name; whoever started the cluster is not among them. */
export function listPeople(plan: Where): Person[] {
  if (!existsSync(fileOf(plan))) return [];
  return z.array(personSchema).parse(JSON.parse(readFileSync(fileOf(plan), 'utf8')));
}

interface NewPerson {
  readonly name: string;
  readonly role: PersonRole;
  readonly groups: readonly string[];
  readonly days: number;
}

interface Added<T> {
  readonly person: Person;
  readonly credential: T;
}

/** Makes a key and a certificate for somebody. @throws Failure for a name that is taken */
export const addPerson = (plan: Where, whom: NewPerson): Promise<Added<Credential>> =>
  alone(plan, () => add(plan, whom, issueIn(plan)));

/** The same for a key that stays where it was made. @throws Failure also for a request that is none */
export const certifyPerson = (
  plan: Where,
  whom: NewPerson,
  requestPem: string,
): Promise<Added<Omit<Credential, 'key'>>> =>
  alone(plan, () =>
    add(plan, whom, async (authority, caller, days) => {
      try {
        const { serial, certificatePem } = await authority.certify(requestPem, caller, { days });
        const authorityPem = readFileSync(authority.certificateFile, 'utf8');
        return { serial, credential: { certificate: certificatePem, authority: authorityPem } };
      } catch (cause) {
        throw new Failure((cause as Error).message.slice(0, 200), { cause });
      }
    }),
  );

type Make<T> = (
  authority: Authority,
  caller: Caller,
  days: number,
) => Promise<{ serial: string; credential: T }>;

const issueIn =
  (plan: Where): Make<Credential> =>
  async (authority, caller, days) => {
    // What one that was killed left: keys that nobody has been given.
    for (const entry of readdirSync(identityDir(plan)))
      if (entry.startsWith(NEW)) rmSync(join(identityDir(plan), entry), { recursive: true, force: true });
    const folder = mkdtempSync(join(identityDir(plan), NEW));
    try {
      const { serial } = await authority.issue(caller, folder, { days });
      const read = (file: string) => readFileSync(join(folder, file), 'utf8');
      const credential = { certificate: read('tls.crt'), key: read('tls.key'), authority: read('ca.crt') };
      return { serial, credential };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };

async function add<T>(plan: Where, whom: NewPerson, make: Make<T>): Promise<Added<T>> {
  const { name, role, groups, days } = whom;
  const people = listPeople(plan);
  const taken = people.find((each) => each.name === name && each.removedMs === undefined);
  if (taken !== undefined || name === adminName()) {
    const what = taken ? `${taken.role} ${name}` : `${name}, who started it,`;
    throw new Failure(`${what} is in cluster "${plan.cluster}" already`, {
      fix: taken ? `For a new certificate: vkctl user rm ${name}, then add.` : 'Choose another name.',
    });
  }
  if (people.length >= PEOPLE_LIMIT)
    throw new Failure(`${PEOPLE_LIMIT} people were in cluster "${plan.cluster}" already`);
  if (groups.join('+').length > GROUPS_CHARS_MAX)
    throw new Failure(`groups take ${GROUPS_CHARS_MAX} characters at most, with one between two`);
  const authority = await Authority.in(authorityDir(plan), plan.cluster);
  const caller = { cluster: plan.cluster, role: roleOf(role)!, name, groups };
  const { serial, credential } = await make(authority, caller, days);
  const nowMs = Date.now();
  const person = {
    ...{ name, role, groups: [...groups], serial },
    ...{ sinceMs: nowMs, untilMs: nowMs + days * DAY_MS },
  };
  const after = [...people, person];
  tellServices(plan, after);
  save(plan, after);
  return { person, credential };
}

/** Whether anybody is in but who started it: a certificate of theirs is of use as long as the authority stays. */
export function letsIn(plan: Where): boolean {
  try {
    return listPeople(plan).some(({ removedMs, untilMs }) => removedMs === undefined && untilMs > Date.now());
  } catch {
    return true; // A list that cannot be read is no reason to delete it.
  }
}

/** Their certificate counts no more, from now on. @throws Failure where there is nobody of that name */
export const removePerson = (plan: Where, name: string): Promise<Person> =>
  alone(plan, () => remove(plan, name));

function remove(plan: Where, name: string): Person {
  const people = listPeople(plan);
  const person = people.find((each) => each.name === name && each.removedMs === undefined);
  if (person === undefined) {
    const names = people.filter(({ removedMs }) => removedMs === undefined).map((each) => each.name);
    throw new Failure(`nobody named "${name}" is in cluster "${plan.cluster}"`, {
      fix: names.length > 0 ? `There are: ${names.join(', ')}.` : 'Add somebody with: vkctl user add NAME',
    });
  }
  // First the doors, then the list: somebody who is listed as removed is.
  const removed = { ...person, removedMs: Date.now() };
  const after = people.map((each) => (each === person ? removed : each));
  tellServices(plan, after);
  save(plan, after);
  return removed;
}

/** Writes who is in, and what counts no more, for every service; after `makeCertificates`, too, whose folders may be new. */
export function tellServices(plan: Where, people: readonly Person[] = listPeople(plan)): void {
  const serials = people.filter(({ removedMs }) => removedMs !== undefined).map(({ serial }) => serial);
  const revoked = [...serials, ...revokedOf(readNodes(plan))].map((serial) => `${serial}\n`).join('');
  const listed = formatPeople(listOf(people));
  // Files beside them are of others, as what the supervisor knows of its gateway.
  for (const entry of readdirSync(identityDir(plan), { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === 'ca' || entry.name.startsWith('.')) continue;
    replaceFile(join(identityDir(plan), entry.name, 'revoked'), revoked);
    replaceFile(join(identityDir(plan), entry.name, PEOPLE_FILE), listed);
  }
}

function listOf(people: readonly Person[]): Map<string, ListedPerson> {
  const list = new Map<string, ListedPerson>([[adminName(), { groups: [], removed: false }]]);
  for (const { name, groups, removedMs } of people) {
    const removed = removedMs !== undefined;
    // Of a name that was given again only the one who is in counts.
    if (!removed || !list.has(name)) list.set(name, { groups, removed });
  }
  return list;
}

function save(plan: Where, people: readonly Person[]): void {
  const sorted = [...people].sort((a, b) =>
    a.name < b.name ? -1 : a.name > b.name ? 1 : a.sinceMs - b.sinceMs,
  );
  replaceFile(fileOf(plan), `${JSON.stringify(sorted, undefined, 2)}\n`);
}
