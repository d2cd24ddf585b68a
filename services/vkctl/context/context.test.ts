// Contexts as they are kept on a machine.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Authority } from '@odonata/authority/authority.ts';
import { contextInUse, contextNames, contextsDir } from '@odonata/client/local/contexts.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type ContextFile, identityIn, keepContext, removeContext, setContextInUse } from './context.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-context-'));
const home = join(folder, 'home');
let alice: ContextFile;
let bob: ContextFile;

beforeAll(async () => {
  vi.stubEnv('ODONATA_HOME', home);
  vi.stubEnv('ODONATA_CONTEXT', undefined);
  const authority = await Authority.in(join(folder, 'ca'), 'lab');
  const contextOf = async (name: string): Promise<ContextFile> => {
    const at = mkdtempSync(join(folder, name));
    await authority.issue({ cluster: 'lab', role: Role.USER, name, groups: [] }, at, { days: 1 });
    const read = (file: string) => readFileSync(join(at, file), 'utf8');
    const [certificate, key, ca] = [read('tls.crt'), read('tls.key'), read('ca.crt')];
    return { version: 1, cluster: 'lab', syslink: 'h:1', certificate, key, authority: ca };
  };
  [alice, bob] = [await contextOf('alice'), await contextOf('bob')];
});

beforeEach(() => rmSync(home, { recursive: true, force: true }));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test.each(['here', 'current'])('none is named %s, which commands mean something else by', (name) => {
  keepContext('lab', alice, false);
  setContextInUse('lab');
  for (const replace of [false, true])
    expect(() => keepContext(name, bob, replace)).toThrow(/no context is named/);
  expect([contextNames(), contextInUse()]).toEqual([['lab'], 'lab']);
  setContextInUse('lab');
});

test('keeping one touches no other, whatever that is named', () => {
  keepContext('lab.new', bob, false);
  expect(identityIn(keepContext('lab', alice, false))).toBe('odonata://lab/user/alice');
  expect(contextNames()).toEqual(['lab', 'lab.new']);
  removeContext('lab.new');
  expect(contextNames()).toEqual(['lab']);
});

test('one that is not replaced for whatever reason stays, and nothing is left beside it', () => {
  keepContext('lab', alice, false);
  const broken = { ...bob, key: alice.key };
  expect(() => keepContext('lab', broken, true)).toThrow(/no context of a cluster/);
  expect(() => keepContext('lab', bob, false)).toThrow(/already/);
  expect(readdirSync(contextsDir())).toEqual(['lab']);
  expect(identityIn(keepContext('lab', bob, true))).toBe('odonata://lab/user/bob');
  setContextInUse('lab');
  expect(readdirSync(contextsDir()).sort()).toEqual(['current', 'lab']);
  expect(existsSync(join(contextsDir(), 'lab', 'tls.key'))).toBe(true);
});
