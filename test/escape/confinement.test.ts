// Each layer between a virtual kernel and its machine: what a hostile one finds behind it, and that it finds more where just that
// layer is taken away. So a layer that is lost, by whatever change, makes the test of its name fail.
import { readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { host, type Look, look, makePlace, type Place, removePlace } from './look.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const isRoot = process.getuid!() === 0;
const has = (layer: string): boolean => host.layers.some(({ name, ok }) => name === layer && ok);
/** Landlock stands in for namespaces only. */
const noNamespaces = { tools: undefined };
const noLandlock = {
  ...noNamespaces,
  layers: host.layers.map((layer) => (layer.name === 'landlock' ? { ...layer, ok: false } : layer)),
};

let place: Place;
let ask: { read: string[]; write: string[] };
beforeAll(() => {
  place = makePlace();
  ask = {
    read: [
      '/etc/passwd',
      '/proc/1/environ',
      '/var',
      '/dev/shm',
      '/sys',
      place.data,
      `${place.socketDir}/handover.sock`,
      `${ROOT}/.git`,
    ],
    write: ['/', '/tmp', '/dev/shm', '/cache', place.data, place.sockets, `${ROOT}/libs`, '/proc/sys/kernel'],
  };
});
afterAll(() => removePlace(place));

const REFUSED = /^(EPERM|ENOSYS)$/;
/** What it is to have. */
const GIVEN = ['socket unix', 'userfaultfd for user mode'];

/** Calls that did not end at the filter. */
const reached = ({ found }: Look): string[] =>
  Object.entries(found!.calls).flatMap(([name, result]) => (REFUSED.test(result) ? [] : [name]));

describe.runIf(has('namespaces'))('in namespaces', () => {
  let inside: Look;
  beforeAll(async () => {
    inside = await look(place, { ask });
  });

  it('mount namespace: it sees the runtime, its code and its sockets, and can write nowhere', async () => {
    const { read, written, top } = inside.found!;
    const open = Object.entries(read).filter(([, result]) => /read|listed/.test(result));
    // Of the first process, which is itself, its own environment.
    expect(open).toEqual([['/proc/1/environ', 'read']]);
    expect(Object.entries(written).filter(([, result]) => result === 'written')).toEqual([]);
    expect(top).not.toContain('etc');
    const without = await look(place, { ask, change: noLandlock });
    expect(without.found!.read).toMatchObject({ '/etc/passwd': 'read', [place.data]: 'listed' });
    expect(without.found!.written).toMatchObject({ [place.data]: 'written' });
  });

  it('pid namespace: it sees no process but itself', async () => {
    expect(inside.found!.processes).toEqual([1]);
    const without = await look(place, { change: noLandlock });
    expect(without.found!.processes).toContain(process.pid);
  });

  it('uts namespace: it does not learn the name of the machine', () => {
    expect(inside.found!.hostname).toBe('vkernel');
  });

  it('no capability, no new privileges, and no environment but its mark', async () => {
    const { status, environ } = inside.found!;
    expect(status).toMatchObject({ CapEff: '0000000000000000', CapPrm: '0000000000000000', NoNewPrivs: '1' });
    for (const set of ['CapInh', 'CapBnd', 'CapAmb']) expect(status[set], set).toBe('0000000000000000');
    expect(environ.map((line) => line.split('=')[0]).sort()).toEqual([
      'MALLOC_ARENA_MAX',
      'MALLOC_MMAP_THRESHOLD_',
      'NODE_COMPILE_CACHE',
      'ODONATA_VKERNEL_CONTROL',
      'OPENSSL_CONF',
      'PWD',
    ]);
  });

  it('descriptors: none of a file or folder but those of the log and of its own root', () => {
    const files = inside.found!.descriptors.filter((target) => target.startsWith('/'));
    // Its output is ours.
    const logs = [1, 2].map((fd) => readlinkSync(`/proc/self/fd/${fd}`));
    const known = new Set(['/', '/dev/null', ...logs]);
    expect(files.filter((file) => !known.has(file) && !file.startsWith('/proc/'))).toEqual([]);
  });

  it('seccomp: what leads to other processes, mounts, networks and the depths of the kernel is refused', async () => {
    expect(reached(inside)).toEqual(GIVEN);
    expect(inside.found!.status.Seccomp).toBe('2');
    const without = await look(place, { change: { filters: undefined } });
    expect(reached(without).length).toBeGreaterThan(20);
    expect(without.found!.calls).toMatchObject({ 'socket inet': 'ok', ptrace: 'errno 3' });
  });

  it.runIf(isRoot && has('uid'))('uid: it is nobody whom the machine knows', async () => {
    expect(inside.found!.uid).toBe(place.uid);
    expect(inside.found!.status).toMatchObject({ Groups: '' });
    expect(readFileSync('/etc/passwd', 'utf8')).not.toContain(`:${place.uid}:`);
    const without = await look(place, { asUs: true });
    expect(without.found!.uid).toBe(0);
  });

  it.runIf(has('cgroup'))('control group: memory beyond its bound ends it, and nobody else', async () => {
    const bounds = { memoryBytes: 200 * 2 ** 20, threads: 200 };
    const fill = 400 * 2 ** 20;
    const over = await look(place, { bounds, ask: { fill } });
    expect(over).toMatchObject({ found: undefined, how: 'SIGKILL' });
    const without = await look(place, { bounds, ask: { fill }, change: { cgroupHome: undefined } });
    expect(without.found).toBeDefined();
  });
});

describe.runIf(has('landlock'))('by Landlock, where no namespaces can be made', () => {
  let inside: Look;
  beforeAll(async () => {
    inside = await look(place, { ask, change: noNamespaces, asUs: true });
  });

  it('files: it reads the runtime and its code, and writes nothing', async () => {
    const { read, written } = inside.found!;
    expect(Object.entries(read).filter(([, result]) => /read|listed/.test(result))).toEqual([]);
    expect(Object.entries(written).filter(([, result]) => result === 'written')).toEqual([]);
    const without = await look(place, { ask, change: noLandlock, asUs: true });
    expect(without.found!.read).toMatchObject({ '/etc/passwd': 'read' });
  });

  it('other processes: it sees nothing of them, and reaches none', () => {
    expect(inside.found!.processes).toEqual([]);
    expect(reached(inside)).toEqual(GIVEN);
  });
});
