// Who may come into a cluster, changed by several at once.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { addPerson, listPeople, removePerson } from './people.ts';

const stateDir = mkdtempSync(join(tmpdir(), 'odonata-people-test-'));
const plan = { stateDir, cluster: 'people' };
afterAll(() => rmSync(stateDir, { recursive: true }));

it('nobody is forgotten of those who are added at once, and a name is given once', async () => {
  const service = join(stateDir, 'identity', 'cohd-cohd');
  mkdirSync(service, { recursive: true });
  mkdirSync(join(stateDir, 'identity', 'ca'));
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
  expect(readdirSync(join(stateDir, 'identity')).sort()).toEqual(['ca', 'cohd-cohd']);
});
