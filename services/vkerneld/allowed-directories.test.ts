// What programs get of the host: directories that were opened once, beneath what is allowed, whatever is renamed meanwhile.
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { fileSystemOf } from '@odonata/userfault/file-system-kind.ts';
import { cloneMount, close } from '@odonata/userfault/libc.ts';
import { toolNamed } from '@odonata/userfault/sandbox/tools.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AllowedDirectories, closeGrants, GRANTS_MAX, type OpenGrant } from './allowed-directories.ts';
import { DirectoryView } from './directory-view.ts';
import { HiddenFolders } from './hidden-folders.ts';

const log = createLog('test', 'fatal');
let folder: string;
let allowed: AllowedDirectories;
let grants: OpenGrant[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-allowed-'));
  mkdirSync(join(folder, 'a/b/c'), { recursive: true });
  mkdirSync(join(folder, 'outside/b/c'), { recursive: true });
  writeFileSync(join(folder, 'outside/secret'), 'secret');
  writeFileSync(join(folder, 'a/b/c/file'), 'mine');
  allowed = new AllowedDirectories([join(folder, 'a')], 'node1', log);
  grants = [];
});

afterEach(() => {
  closeGrants(grants);
  allowed.close();
  rmSync(folder, { recursive: true });
});

function open(hostPath: string, readOnly = false, from = allowed): number {
  const [grant] = from.open([{ hostPath, guestPath: '/g', readOnly } as never]);
  grants.push(grant!);
  return grant!.fd;
}

function refusal(hostPath: string, from = allowed): { code: number; message: string } {
  try {
    open(hostPath, false, from);
  } catch (error) {
    if (error instanceof RpcError) return { code: error.code, message: error.details };
    throw error;
  }
  throw new Error(`${hostPath} was granted`);
}

/** What a holder of the descriptor gets that asks the host itself, and not a virtual kernel. */
const through = (fd: number, path: string): string => `/proc/self/fd/${fd}/${path}`;

const inode = (path: string): number => statSync(path).ino;

/** True where this process may make mounts. */
const mounts = (() => {
  const fd = openSync(tmpdir(), 'r');
  try {
    close(cloneMount(fd));
    return true;
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
})();

test('what is hidden is not granted, and told of and covered below what is', async () => {
  const secret = join(folder, 'a/b/secret');
  mkdirSync(join(secret, 'inner'), { recursive: true });
  writeFileSync(join(secret, 'key'), 'key');
  const hidden = new HiddenFolders([secret, join(folder, 'a/odd-*'), '']);
  const hiding = new AllowedDirectories([join(folder, 'a')], 'node1', log, hidden);
  const bwrap = toolNamed('bwrap');
  if (bwrap !== undefined && process.getuid!() !== 0) await hiding.confine(bwrap);
  const key = (path: string) => `${statSync(path).dev}:${statSync(path).ino}`;
  for (const path of ['a/b/secret', 'a/b/secret/inner'])
    expect(refusal(join(folder, path), hiding)).toMatchObject({
      code: Code.PermissionDenied,
      message: expect.stringContaining('is of a cluster itself'),
    });
  const told = (path: string) => {
    const [grant] = hiding.open([
      { hostPath: join(folder, path), guestPath: '/g', readOnly: false } as never,
    ]);
    grants.push(grant!);
    return grant!.hidden;
  };
  expect(told('a')).toEqual([key(secret), `${key(join(folder, 'a'))}/odd-`]);
  expect(told('a/b')).toEqual([key(secret)]);
  expect(told('a/b/c')).toEqual([]);
  // Under another name it is the same.
  const other = join(folder, 'a/b/c/other');
  renameSync(secret, other);
  expect(told('a/b/c')).toEqual([key(other)]);
  expect(refusal(other, hiding).code).toBe(Code.PermissionDenied);
  mkdirSync(join(folder, 'a/odd-one'));
  expect(refusal(join(folder, 'a/odd-one'), hiding).code).toBe(Code.PermissionDenied);
  if (bwrap !== undefined) {
    const top = join(folder, 'a');
    const view = await DirectoryView.make(bwrap, top, { readOnly: false, hidden: hidden.pathsBeneath(top) });
    expect(readdirSync(through(view.fd, 'odd-one'))).toEqual([]);
    expect(() => writeFileSync(through(view.fd, 'odd-one/x'), '')).toThrow(/EROFS/);
    writeFileSync(join(folder, 'a/odd-one/key'), 'key');
    expect(existsSync(through(view.fd, 'odd-one/key'))).toBe(false);
    view.close();
  }
  hiding.close();
});

test('what is opened is what was asked for, beneath the allowed one', () => {
  expect(fstatSync(open(join(folder, 'a'))).ino).toBe(inode(join(folder, 'a')));
  expect(fstatSync(open(join(folder, 'a/'))).ino).toBe(inode(join(folder, 'a')));
  expect(fstatSync(open(join(folder, 'a/b//c/.'))).ino).toBe(inode(join(folder, 'a/b/c')));
  expect(fstatSync(open(join(folder, 'x/../a/b'))).ino).toBe(inode(join(folder, 'a/b')));
  expect(refusal(join(folder, 'outside')).code).toBe(Code.PermissionDenied);
  expect(refusal(join(folder, 'a/../outside')).code).toBe(Code.PermissionDenied);
  expect(refusal(join(folder, 'a/none')).code).toBe(Code.NotFound);
  expect(refusal(join(folder, 'a/b/c/file')).code).toBe(Code.InvalidArgument);
  expect(refusal('a').code).toBe(Code.InvalidArgument);
  expect(refusal(`${folder}/a/\0`).code).toBe(Code.InvalidArgument);
  expect(refusal(join(folder, 'a', 'x'.repeat(5_000))).code).toBe(Code.ResourceExhausted);
});

test('no component is a link, wherever it leads', () => {
  symlinkSync('../outside', join(folder, 'a/out'));
  symlinkSync(join(folder, 'outside'), join(folder, 'a/absolute'));
  symlinkSync('b', join(folder, 'a/within'));
  for (const path of ['a/out', 'a/out/b', 'a/absolute', 'a/absolute/b/c', 'a/within', 'a/within/c'])
    expect(refusal(join(folder, path)), path).toMatchObject({
      code: Code.PermissionDenied,
      message: expect.stringContaining('a part of the path is a link'),
    });
});

test('the path of what is allowed may be a link, and is looked at once', () => {
  symlinkSync(join(folder, 'a'), join(folder, 'way'));
  const from = new AllowedDirectories([join(folder, 'way')], 'node1', log);
  expect(fstatSync(open(join(folder, 'way/b'), false, from)).ino).toBe(inode(join(folder, 'a/b')));
  expect(fstatSync(open(join(folder, 'a/b'), false, from)).ino).toBe(inode(join(folder, 'a/b')));
  rmSync(join(folder, 'way'));
  symlinkSync(join(folder, 'outside'), join(folder, 'way'));
  expect(fstatSync(open(join(folder, 'way/b'), false, from)).ino).toBe(inode(join(folder, 'a/b')));
  from.close();
});

test.each([
  ['the upper first', ['a', 'a/way/c']],
  ['the lower first', ['a/way/c', 'a']],
])('one below another is that one, though a link leads to it: %s', (_, said) => {
  symlinkSync('../outside/b', join(folder, 'a/way'));
  const both = new AllowedDirectories(
    said.map((word) => join(folder, word)),
    'node1',
    log,
  );
  try {
    expect(fstatSync(open(join(folder, 'a/way/c'), false, both)).ino).toBe(
      inode(join(folder, 'outside/b/c')),
    );
    expect(fstatSync(open(join(folder, 'a/b'), false, both)).ino).toBe(inode(join(folder, 'a/b')));
    expect(refusal(join(folder, 'a/way'), both)).toMatchObject({ code: Code.PermissionDenied });
  } finally {
    both.close();
  }
});

test('one that comes later is allowed then', () => {
  const from = new AllowedDirectories([join(folder, 'later')], 'node1', log);
  expect(refusal(join(folder, 'later/x'), from).code).toBe(Code.PermissionDenied);
  mkdirSync(join(folder, 'later/x'), { recursive: true });
  expect(fstatSync(open(join(folder, 'later/x'), false, from)).ino).toBe(inode(join(folder, 'later/x')));
  from.close();
});

test('what is renamed after it was opened stays what it is', () => {
  const fd = open(join(folder, 'a/b'));
  renameSync(join(folder, 'a/b'), join(folder, 'a/b.real'));
  symlinkSync(join(folder, 'outside/b'), join(folder, 'a/b'));
  expect(readFileSync(through(fd, 'c/file'), 'utf8')).toBe('mine');
});

// The guest that renames is another process here; whichever of the two is faster, at whichever component.
test.each(['b', 'b/c'])('a link that comes and goes at %s is never followed', async (at) => {
  const script = `
    const { renameSync, symlinkSync } = require('node:fs');
    const [at, out] = process.argv.slice(1);
    symlinkSync(out, at + '.link');
    process.stdout.write('swaps');
    for (;;) {
      renameSync(at, at + '.real'); renameSync(at + '.link', at);
      renameSync(at, at + '.link'); renameSync(at + '.real', at);
    }`;
  const swapper = spawn(process.execPath, ['-e', script, join(folder, 'a', at), join(folder, 'outside', at)]);
  const ended = new Promise((resolve) => swapper.once('exit', resolve));
  await new Promise((resolve) => swapper.stdout.once('data', resolve));
  const seen = { mine: 0, absent: 0, refused: 0 };
  const mine = [folder, 'a/b/c'];
  const theirs = inode(join(folder, 'outside/b/c'));
  for (let round = 0; round < 3_000; round++) {
    try {
      const [grant] = allowed.open([{ hostPath: join(...mine), guestPath: '/g', readOnly: false } as never]);
      expect(fstatSync(grant!.fd).ino).not.toBe(theirs);
      closeGrants([grant!]);
      seen.mine++;
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      // While it is neither, or while it is a link.
      const why = error.code === Code.NotFound ? / \(ENOENT\)$/ : /not allowed: a part of the path is a link/;
      expect(error.message).toMatch(why);
      if (error.code === Code.NotFound) seen.absent++;
      else seen.refused++;
    }
  }
  swapper.kill('SIGKILL');
  await ended;
  expect(seen.mine).toBeGreaterThan(0);
  expect(seen.refused).toBeGreaterThan(0);
});

test('file systems that are not for files are refused, also below what is allowed', () => {
  const all = new AllowedDirectories(['/'], 'node1', log);
  for (const path of ['/proc', '/proc/self', '/proc/self/fd', '/sys', '/sys/kernel', '/dev/pts']) {
    if (!existsSync(path)) continue;
    const { code, message } = refusal(path, all);
    // /proc/self is a link, too.
    expect(code, path).toBe(Code.PermissionDenied);
    if (path === '/proc') expect(message).toContain('file system of kind proc');
  }
  const dev = openSync('/dev', 'r');
  if (fileSystemOf(dev) === 'devtmpfs')
    expect(refusal('/dev', all).message).toContain('file system of kind devtmpfs');
  closeSync(dev);
  all.close();
});

test('descriptors are few, and none is left', () => {
  const dirs = Array.from({ length: GRANTS_MAX + 1 }, () => ({
    hostPath: join(folder, 'a'),
    guestPath: '/g',
  }));
  expect(() => allowed.open(dirs as never)).toThrow(/64 directories are the most/);
  const count = () => readdirSync('/proc/self/fd').length;
  const before = count();
  const some = [...dirs.slice(0, 5), { hostPath: join(folder, 'a/none'), guestPath: '/g' }];
  expect(() => allowed.open(some as never)).toThrow(/ENOENT/);
  expect(count()).toBe(before);
});

describe.runIf(mounts)('what a holder of the descriptor can do that asks the host itself', () => {
  test('it cannot leave the directory', () => {
    const fd = open(join(folder, 'a/b'));
    expect(readFileSync(through(fd, 'c/file'), 'utf8')).toBe('mine');
    expect(() => readFileSync(through(fd, '../../outside/secret'))).toThrow(/ENOENT/);
    expect(inode(through(fd, '../../..'))).toBe(inode(join(folder, 'a/b')));
  });

  test('it writes nothing to what is read-only, however it opens it', () => {
    const fd = open(join(folder, 'a/b'), true);
    const file = openSync(through(fd, 'c/file'), 'r');
    const tries: (() => unknown)[] = [
      () => openSync(through(fd, 'c/file'), 'r+'),
      () => openSync(through(fd, 'c/file'), constants.O_RDONLY | constants.O_TRUNC),
      () => openSync(`/proc/self/fd/${file}`, 'r+'),
      () => openSync(through(fd, 'new'), 'w'),
      () => mkdirSync(through(fd, 'new')),
      () => renameSync(through(fd, 'c/file'), through(fd, 'c/other')),
      () => unlinkSync(through(fd, 'c/file')),
      () => symlinkSync('x', through(fd, 'new')),
    ];
    for (const tried of tries) expect(tried).toThrow(/EROFS/);
    closeSync(file);
    expect(readFileSync(join(folder, 'a/b/c/file'), 'utf8')).toBe('mine');
    // The same directory for somebody who may write.
    writeFileSync(through(open(join(folder, 'a/b')), 'c/file'), 'new');
    expect(readFileSync(through(fd, 'c/file'), 'utf8')).toBe('new');
  });

  test('what is mounted below is not there, and a device opens nothing', () => {
    mkdirSync(join(folder, 'a/b/proc'));
    const node = spawnSync('mknod', [join(folder, 'a/b/null'), 'c', '1', '3']);
    // In a mount namespace of its own, which this process opens it from.
    const script = `mount -t proc proc ${join(folder, 'a/b/proc')} && exec ${process.execPath} "$@"`;
    const main = `
      import { AllowedDirectories } from ${JSON.stringify(join(import.meta.dirname, 'allowed-directories.ts'))};
      import { createLog } from '@odonata/rpc/log.ts';
      import { readdirSync, openSync } from 'node:fs';
      const log = createLog('test', 'fatal');
      const allowed = new AllowedDirectories([${JSON.stringify(join(folder, 'a'))}], 'node1', log);
      const [{ fd }] = allowed.open([{ hostPath: ${JSON.stringify(join(folder, 'a/b'))}, guestPath: '/g' }]);
      console.log(readdirSync('/proc/self/fd/' + fd + '/proc').length);
      try { openSync('/proc/self/fd/' + fd + '/null', 'r'); console.log('opened'); } catch (e) { console.log(e.code); }
      try { allowed.open([{ hostPath: ${JSON.stringify(join(folder, 'a/b/proc'))}, guestPath: '/g' }]); console.log('granted'); }
      catch (e) { console.log(/kind proc/.test(e.message)); }`;
    const args = ['-m', 'sh', '-c', script, 'sh', '--input-type=module', '-e', main];
    const { stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8', cwd: import.meta.dirname });
    expect(stdout.split('\n').slice(0, 3), stderr).toEqual([
      '0',
      node.status === 0 ? 'EACCES' : 'ENOENT',
      'true',
    ]);
  });
});

const bwrap = toolNamed('bwrap');
test.runIf(bwrap !== undefined)(
  'who is no root: what is granted leads up to what is allowed, and a read-only one is so for the kernel',
  async () => {
    await allowed.confine(bwrap!);
    for (const readOnly of [true, false]) {
      const fd = open(join(folder, 'a/b'), readOnly);
      expect(fstatSync(fd).ino).toBe(inode(join(folder, 'a/b')));
      const write = () => writeFileSync(through(fd, 'new'), '');
      if (readOnly) expect(write).toThrow(/EROFS/);
      else expect(write).not.toThrow();
      expect(readdirSync(through(fd, '..'))).toContain('b');
      // Above it there is nothing of the machine.
      for (const up of ['../..', '../../..', '../../../..'])
        expect(readdirSync(through(fd, up))).toEqual(['odonata-allowed']);
      expect(() => writeFileSync(through(fd, '../../new'), '')).toThrow(/EROFS/);
    }
    expect(refusal(join(folder, 'outside')).code).toBe(Code.PermissionDenied);
  },
);
