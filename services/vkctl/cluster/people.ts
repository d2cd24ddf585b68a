// The people of a cluster of this machine: who has a certificate, in which role, and whose counts no more.
//
//   <stateDir>/identity/ca/people.json   all of them, also those that were removed
//   <stateDir>/identity/*/revoked        serial numbers that count no more, at every service
//   <stateDir>/identity/*/people         who is in, and in which groups, at every service
//
// One changes them at a time (people.lock): of two at once one would be forgotten, and nobody could be put out whom the list
// does not have.
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Authority } from '@odonata/authority/authority.ts';
import { PEOPLE, roleOf } from '@odonata/rpc/identity/identity.ts';
import { formatPeople, type ListedPerson, PEOPLE_FILE } from '@odonata/rpc/identity/people-list.ts';
import { z } from 'zod';
import { Failure, reasonOf } from '../failure.ts';
import { adminName, authorityDir, identityDir } from './certificates.ts';
import { waitForLock } from './lock.ts';
import type { ClusterPlan } from './record.ts';

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
const LOCK_MS = 30_000;
const NEW = '.new-';
/** So many are remembered, those that were removed too. */
const PEOPLE_LIMIT = 10_000;

type Where = Pick<ClusterPlan, 'stateDir' | 'cluster'>;

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

async function alone<T>(plan: Where, change: () => T | Promise<T>): Promise<T> {
  const file = join(authorityDir(plan), 'people.lock');
  const lock = await waitForLock(file, LOCK_MS);
  if (lock === undefined)
    throw new Failure(`another vkctl is changing who may come into cluster "${plan.cluster}"`, {
      fix: `Try again; "fuser ${file}" shows whose process that is.`,
    });
  try {
    return await change();
  } finally {
    lock.release();
  }
}

interface NewPerson {
  readonly name: string;
  readonly role: PersonRole;
  readonly groups: readonly string[];
  readonly days: number;
}

/** Makes a certificate for somebody. @throws Failure for a name that is taken */
export const addPerson = (
  plan: Where,
  whom: NewPerson,
): Promise<{ person: Person; credential: Credential }> => alone(plan, () => add(plan, whom));

async function add(
  plan: Where,
  { name, role, groups, days }: NewPerson,
): Promise<{ person: Person; credential: Credential }> {
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
  const authority = await Authority.in(authorityDir(plan), plan.cluster);
  // What one that was killed left: keys that nobody has been given.
  for (const entry of readdirSync(identityDir(plan)))
    if (entry.startsWith(NEW)) rmSync(join(identityDir(plan), entry), { recursive: true, force: true });
  const folder = mkdtempSync(join(identityDir(plan), NEW));
  try {
    const { serial } = await authority.issue(
      { cluster: plan.cluster, role: roleOf(role)!, name, groups },
      folder,
      { days },
    );
    const nowMs = Date.now();
    const person = {
      name,
      role,
      groups: [...groups],
      serial,
      sinceMs: nowMs,
      untilMs: nowMs + days * DAY_MS,
    };
    const after = [...people, person];
    tellServices(plan, after);
    save(plan, after);
    const read = (file: string) => readFileSync(join(folder, file), 'utf8');
    return {
      person,
      credential: { certificate: read('tls.crt'), key: read('tls.key'), authority: read('ca.crt') },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
  const revoked = serials.map((serial) => `${serial}\n`).join('');
  const listed = formatPeople(listOf(people));
  for (const entry of readdirSync(identityDir(plan))) {
    if (entry === 'ca' || entry.startsWith('.')) continue;
    replace(join(identityDir(plan), entry, 'revoked'), revoked);
    replace(join(identityDir(plan), entry, PEOPLE_FILE), listed);
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
  replace(fileOf(plan), `${JSON.stringify(sorted, undefined, 2)}\n`);
}

function replace(file: string, text: string): void {
  try {
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  } catch (cause) {
    rmSync(`${file}.new`, { recursive: true, force: true });
    throw new Failure(`cannot write ${file}: ${reasonOf(cause)}`, {
      fix: 'Mend that, and do this again: until then services may differ in who is let in.',
      cause,
    });
  }
}
