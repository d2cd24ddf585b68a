import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whyNoFixedSize } from '@odonata/userfault/sandbox/fixed-size.ts';
import { whyNoIdMapping } from '@odonata/userfault/sandbox/id-mapping.ts';
import { afterAll, expect, test } from 'vitest';
import { clusterPaths } from '../cluster/paths.ts';
import type { Check } from './check.ts';
import { checkGrants, checkSubordinateUids, subordinate } from './grants.ts';
import {
  checkKernel,
  checkMemorySpace,
  checkNats,
  checkNode,
  checkSetpriv,
  memoryFileCheck,
} from './machine.ts';
import { checkFolders, checkPort, checkRemains } from './place.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-doctor-test-'));
afterAll(() => rmSync(folder, { recursive: true }));
const paths = {
  ...clusterPaths('doctor-test', { ODONATA_HOME: folder }),
  runtimeDir: join(folder, 'run'),
  memoryDir: join(folder, 'shm'),
};

const failing = (check: Check): void => {
  expect(check).toMatchObject({
    ok: false,
    fix: expect.stringMatching(/\S/),
    detail: expect.stringMatching(/\S/),
  });
};

test('this machine is well', () => {
  for (const check of [checkNode(), checkKernel(), checkNats(), checkSetpriv()]) {
    expect(check).toMatchObject({ ok: true });
  }
});

test('what is not well names its fix', () => {
  failing(checkNode('v20.20.2'));
  failing(checkKernel('5.15.0-91-generic'));
  const most = Number.MAX_SAFE_INTEGER;
  failing(checkMemorySpace('', '/dev/shm', most, most));
  // It starts with less than is good.
  expect(checkMemorySpace('', '/dev/shm', most, 0)).toMatchObject({
    ...{ ok: true, warning: true, fix: expect.stringMatching(/remount/) },
  });
  expect(checkKernel('5.19.0').ok).toBe(true);
  expect(checkKernel('6.1.0-28-amd64').ok).toBe(true);
});

test('a tool that does not work is told of in its own words', () => {
  const { PATH } = process.env;
  for (const name of ['nats-server', 'setpriv'])
    writeFileSync(join(folder, name), '#!/bin/sh\necho "$0: out of order" >&2; exit 3\n', { mode: 0o755 });
  process.env.PATH = folder;
  try {
    for (const check of [checkNats(), checkSetpriv()]) {
      failing(check);
      expect(check.detail).toMatch(/: out of order$/);
    }
  } finally {
    process.env.PATH = PATH;
    for (const name of ['nats-server', 'setpriv']) rmSync(join(folder, name));
  }
});

test('a kernel that cannot keep the size of memory files is a warning, which says what that means', () => {
  for (const [abi, why] of [
    [0, /no Landlock/],
    [2, /ABI 2, and knows of truncation from 3 on/],
  ] as const)
    expect(memoryFileCheck(whyNoFixedSize(abi))).toMatchObject({
      ...{ ok: true, warning: true, fix: expect.stringMatching(/6\.2/) },
      detail: expect.stringMatching(new RegExp(`${why.source}.*SIGBUS`)),
    });
  expect(memoryFileCheck(whyNoFixedSize(3))).toEqual({
    ...{ name: 'memory sizes', ok: true, detail: expect.stringMatching(/keep their size/) },
  });
});

test('a taken port', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  failing(await checkPort(paths, port));
  server.close();
  await once(server, 'close');
  expect(await checkPort(paths, port)).toMatchObject({ ok: true });
});

test('folders, and what a dead cluster left', () => {
  expect(checkFolders(paths)).toMatchObject({ ok: true });
  expect(checkRemains(paths)).toMatchObject({ ok: true });
  mkdirSync(paths.memoryDir);
  failing(checkRemains(paths));
});

test('uids of virtual kernels that somebody else has, or may give away, are told with the fix', () => {
  const uids = { first: 1_900_000_000, count: 64 };
  const files = { passwd: 'root:x:0:0::/:/bin/sh\n', subuid: 'alice:100000:65536\n', subgid: '' };
  expect(checkSubordinateUids(uids, files)).toMatchObject({
    ok: true,
    detail: expect.stringMatching(/nobody else/),
  });
  expect(checkSubordinateUids(uids, files).warning).toBeUndefined();
  for (const taken of [
    { ...files, subuid: 'alice:100000:65536\nbob:1899999000:1001\n' },
    { ...files, subgid: 'bob:1900000063:1\n' },
    { ...files, passwd: 'root:x:0:0::/:/bin/sh\nbob:x:1900000000:9::/:/bin/sh\n' },
  ])
    expect(checkSubordinateUids(uids, taken)).toMatchObject({
      ...{ warning: true, detail: expect.stringMatching(/bob has/) },
      fix: expect.stringMatching(/--vkernel-uids/),
    });
  expect(checkSubordinateUids(uids, { ...files, subuid: 'bob:1900000064:1\n' }).warning).toBeUndefined();
  expect(checkSubordinateUids(undefined, files).warning).toBeUndefined();
  expect(subordinate('# none\n\nalice:1:2\nbob:x:2\n')).toEqual([{ whose: 'alice', first: 1, count: 2 }]);
});

test('where ids cannot be mapped, it says what that means for grants', async () => {
  const uids = { first: 1_900_000_000, count: 64 };
  expect(checkGrants(uids, '/srv', 'EINVAL')).toMatchObject({
    ...{ ok: true, warning: true, detail: expect.stringMatching(/\/srv.*may what everybody may.*EINVAL/) },
    fix: expect.stringMatching(/ext4.*chmod/),
  });
  expect(checkGrants(uids, '/srv', undefined).warning).toBeUndefined();
  expect(checkGrants(undefined, '/srv', undefined).detail).toMatch(/your uid/);
  if (process.getuid!() !== 0) return;
  // No file system of the kernel's own has ids to map.
  expect(await whyNoIdMapping(uids.first, '/proc')).toMatch(/cannot map ids/);
});
