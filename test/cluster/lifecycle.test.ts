// A cluster's end, in good order or not, with programs that run and memory that is shared: nothing is left.
import { existsSync, readdirSync } from 'node:fs';
import { afterAll, expect, test, vi } from 'vitest';
import { isAlive, signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { buildGuest } from '../guests/build.ts';
import { TestPlace, until } from './cluster.ts';
import { type Command, startVkctl } from './command.ts';
import { processesOf } from './traces.ts';

vi.setConfig({ testTimeout: 300_000 });

const place = new TestPlace();
afterAll(() => place.clear(), 90_000);

const ports = (): number[] => {
  const { syslinkd, nats, cohd, pmapd, vkerneld } = place.record.plan.ports;
  return [...syslinkd, nats, ...cohd, ...pmapd, ...vkerneld];
};

async function up(): Promise<void> {
  const { code, stdout, stderr } = await place.vkctl([
    'up',
    '--nodes',
    '2',
    '--port',
    '0',
    '--timeout',
    '100',
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain(`cluster "${place.cluster}" is up: 2 nodes`);
}

/** Programs in the foreground and the background, on both nodes, that share memory and spin. */
async function busy(): Promise<Command[]> {
  const run = ['run', '--node'];
  const rangelock = await buildGuest('rangelock');
  const dirty = [rangelock, 'busy', '0', '9', 'shared', '-1', '--hold', '--dirty', '20'];
  const attached = [startVkctl([...run, 'node1', await buildGuest('misbehave'), 'spin'], { env: place.env })];
  expect(await place.vkctl([...run, 'node2', '-d', ...dirty])).toMatchObject({ code: 0 });
  expect(await place.vkctl([...run, 'node1', '--vkernel', 'second', '-d', ...dirty])).toMatchObject({
    code: 0,
  });
  await until('three processes run', async () => {
    const { stdout } = await place.vkctl(['ps', '--json']);
    return (
      (JSON.parse(stdout) as { state: string }[]).filter(({ state }) => state === 'running').length === 3
    );
  });
  expect(readdirSync(place.paths.memoryDir).sort()).toEqual(['node1', 'node2']);
  return attached;
}

test('down, while programs run', async () => {
  await up();
  const attached = await busy();
  const listening = ports();
  expect(await place.vkctl(['down'])).toMatchObject({ code: 0, stderr: '' });
  expect(await place.traces(listening)).toEqual([]);
  for (const { ended } of attached) {
    const { code, stderr } = await ended;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/^vkctl: [^\n]+\n$/);
  }
  expect(await place.vkctl(['status'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/is not up/),
  });
});

test('the supervisor killed: everything goes within seconds', async () => {
  await up();
  const attached = await busy();
  const listening = ports();
  const { supervisor } = place.record;
  signalIdentity(supervisor, 'SIGKILL');
  expect(await place.traces(listening, 20_000)).toEqual([]);
  for (const { ended } of attached) expect((await ended).code).not.toBe(0);
});

test('the supervisor killed, and up at once: the new cluster is clean, and nobody of the old one is left', async () => {
  await up();
  await busy();
  const old = place.record;
  signalIdentity(old.supervisor, 'SIGKILL');
  await up();
  for (const { name, process } of old.services)
    expect({ name, alive: isAlive(process!) }).toEqual({ name, alive: false });
  expect(await place.vkctl(['ps', '--json'])).toMatchObject({ code: 0, stdout: '[]\n' });
  expect(await place.vkctl(['ds', 'ls', '--json'])).toMatchObject({ code: 0, stdout: '[]\n' });
  const peek = await place.vkctl([
    'run',
    '--node',
    'node1',
    await buildGuest('peek'),
    'busy',
    '0',
    '--size',
    '4096',
  ]);
  expect(peek).toMatchObject({ code: 0, stdout: '{"offset":0,"words":[0]}\n' });
  const listening = ports();
  expect(await place.vkctl(['down'])).toMatchObject({ code: 0 });
  expect(await place.traces(listening)).toEqual([]);
  expect(existsSync(place.paths.lockFile)).toBe(false);
});

test('the supervisor and its janitor killed, services too: the next up or down clears what is left', async () => {
  await up();
  await busy();
  const { supervisor, services } = place.record;
  const listening = ports();
  const janitor = processesOf(place).find(({ command }) => command.includes('janitor'))!.pid;
  process.kill(janitor, 'SIGKILL');
  signalIdentity(supervisor, 'SIGKILL');
  for (const service of services) signalIdentity(service.process!, 'SIGKILL');
  expect(await place.vkctl(['down'])).toMatchObject({ code: 0 });
  expect(await place.traces(listening)).toEqual([]);
});
