// Who may come into a cluster, changed by several at once.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readPeople } from '@odonata/rpc/identity/people-list.ts';
import { afterAll, expect, it } from 'vitest';
import { clusterPaths } from './paths.ts';
import { addPerson, letsIn, listPeople, removePerson } from './people.ts';
import { removeFolders } from './remains.ts';

const stateDir = mkdtempSync(join(tmpdir(), 'odonata-people-test-'));
const plan = { stateDir, cluster: 'people' };
afterAll(() => rmSync(stateDir, { recursive: true }));

it('nobody is forgotten of those who are added at once, and a name is given once', async () => {
  const service = join(stateDir, 'identity', 'cohd-cohd');
  mkdirSync(service, { recursive: true });
  mkdirSync(join(stateDir, 'identity', 'ca'));
  // No service's.
  writeFileSync(join(stateDir, 'identity', 'gateway.json'), '{}');
  const left = join(stateDir, 'identity', '.new-left');
  mkdirSync(left);
  const whom = { role: 'user', groups: [], days: 1 } as const;
  const names = ['alice', 'bob', 'carol'];
  const added = await Promise.all(names.map((name) => addPerson(plan, { name, ...whom })));
  expect(listPeople(plan).map(({ name }) => name)).toEqual(names);
  expect(existsSync(left)).toBe(false);
  const twice = await Promise.allSettled(['dave', 'dave'].map((name) => addPerson(plan, { name, ...whom })));
  expect(twice.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  await Promise.all(names.map((name) => removePerson(plan, name)));
  const revoked = readFileSync(join(service, 'revoked'), 'utf8').split('\n').filter(Boolean);
  expect(revoked.sort()).toEqual(added.map(({ person }) => person.serial).sort());
  expect(readdirSync(join(stateDir, 'identity')).sort()).toEqual(['ca', 'cohd-cohd', 'gateway.json']);
  // Each service knows who is in, and in which groups now; of a name that was given again, those of who is in.
  await addPerson(plan, { name: 'alice', ...whom, groups: ['physics', 'chess'] });
  const listed = readPeople(join(service, 'people'))!;
  expect(listed.get('alice')).toEqual({ groups: ['physics', 'chess'], removed: false });
  expect(listed.get('bob')).toEqual({ groups: [], removed: true });
  expect(listed.get('dave')).toEqual({ groups: [], removed: false });
});

it('who was let in stays so where the end keeps what there is, without a store too, and until all are out', async () => {
  const home = mkdtempSync(join(stateDir, 'home-'));
  const paths = clusterPaths(`people-${process.pid}`, { ODONATA_HOME: home });
  const authority = join(paths.stateDir, 'identity', 'ca');
  mkdirSync(authority, { recursive: true });
  for (const folder of [paths.natsDir, paths.logDir]) mkdirSync(folder, { recursive: true });
  await addPerson(paths, { name: 'alice', role: 'user', groups: [], days: 1 });
  const before = readFileSync(join(authority, 'ca.crt'), 'utf8');
  removeFolders(paths, true);
  expect(readdirSync(paths.stateDir)).toEqual(['identity']);
  expect(readFileSync(join(authority, 'ca.crt'), 'utf8')).toBe(before);
  await removePerson(paths, 'alice');
  expect(letsIn(paths)).toBe(false);
  removeFolders(paths, true);
  expect(existsSync(paths.stateDir)).toBe(false);
  mkdirSync(authority, { recursive: true });
  writeFileSync(join(authority, 'people.json'), 'torn');
  removeFolders(paths, true);
  expect(existsSync(authority)).toBe(true);
  removeFolders(paths, false);
  expect(existsSync(paths.stateDir)).toBe(false);
});

it('what cannot be written is told with its file and what to do, and may be done again', async () => {
  const whom = { role: 'user', groups: [], days: 1 } as const;
  await addPerson(plan, { name: 'erin', ...whom });
  const file = join(stateDir, 'identity', 'ca', 'people.json');
  mkdirSync(`${file}.new`);
  await expect(removePerson(plan, 'erin')).rejects.toMatchObject({
    message: expect.stringContaining(`cannot write ${file}: `),
    fix: expect.stringContaining('do this again'),
  });
  expect(readdirSync(join(stateDir, 'identity', 'ca'))).not.toContain('people.json.new');
  // The doors are first: they know already.
  expect(readPeople(join(stateDir, 'identity', 'cohd-cohd', 'people'))!.get('erin')?.removed).toBe(true);
  expect((await removePerson(plan, 'erin')).removedMs).toBeDefined();
});
