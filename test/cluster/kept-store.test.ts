// What durable dataspaces have synced goes on with the next run of the cluster, however the last one ended; what is
// deleted is said to be.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { TestPlace } from './cluster.ts';

vi.setConfig({ testTimeout: 180_000 });

let place: TestPlace;
beforeAll(() => {
  place = new TestPlace();
});
afterAll(() => place.clear(), 90_000);

async function vkctl(args: string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await place.vkctl(args, { stdin });
  if (code !== 0) throw new Error(`vkctl ${args.join(' ')}: ${code} ${stderr}`);
  return stdout;
}
const up = (...more: string[]) => vkctl(['up', '-p', '0', '-n', '1', '--timeout', '120', ...more]);
const text = (word: string): string => word.padEnd(8192, '.');
const names = async (): Promise<string[]> =>
  JSON.parse(await vkctl(['ds', 'ls', '--json'])).map((one: { name: string }) => one.name);

test('down --keep, the machine reset, and down: kept, found, deleted, each with a line', async () => {
  await up();
  await vkctl(['ds', 'create', '--durable', 'notes', '8K']);
  await vkctl(['ds', 'create', 'scratch', '8K']);
  // Neither was synced: that is a part of being kept.
  await vkctl(['ds', 'create', '--durable', 'untouched', '8K']);
  await vkctl(['ds', 'load', 'notes', '-'], text('first'));
  expect(await vkctl(['down', '--keep'])).toMatch(
    /is down\nkept: what 2 durable dataspaces \(notes 8 KiB, untouched 8 KiB\) had synced .*"vkctl down --purge -c /,
  );
  // It does not run: nothing but --purge deletes what is kept.
  expect(await vkctl(['down'])).toMatch(/^kept: /);
  expect(await up()).toMatch(/\nfound the store of an earlier run: 2 durable dataspaces \(notes 8 KiB, /);
  expect(await names()).toEqual(['notes', 'untouched']);
  expect(await vkctl(['ds', 'save', 'untouched', '-'])).toMatch(/^\0{8192}$/);
  expect(await vkctl(['ds', 'save', 'notes', '-'])).toBe(text('first'));
  // Later than what was stored in the earlier life, and not only by the clock.
  await vkctl(['ds', 'load', 'notes', '-'], text('later'));
  await vkctl(['ds', 'sync', 'notes']);

  // As after a reset of the machine: nobody tidied up, and the janitor's turn was none.
  const { supervisor, services } = place.record;
  const janitor = readFileSync(`/proc/${supervisor.pid}/task/${supervisor.pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .map(Number)
    .find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('janitor-main'));
  process.kill(janitor!, 'SIGKILL');
  signalIdentity(supervisor, 'SIGKILL');
  for (const { process: identity } of services) if (identity) signalIdentity(identity, 'SIGKILL');
  expect(await up()).toMatch(/found the store of an earlier run/);
  expect(await vkctl(['ds', 'save', 'notes', '-'])).toBe(text('later'));
  expect(await vkctl(['down'])).toMatch(
    /is down\ndeleted with it: what 2 durable dataspaces \(notes 8 KiB, untouched 8 KiB\) had synced .*down --keep/,
  );
  expect(await place.traces()).toEqual([]);
  const wide = await place.vkctl(['up', '-p', '0', '--store', '900000G']);
  expect(wide.code).toBe(1);
  expect(wide.stderr).toMatch(
    /^vkctl: the disk of \S+ has \S+ \S+ free, and the backing store, logs and records need .* there\. Free some, give a smaller --store, or choose another disk with ODONATA_HOME=FOLDER\.\n$/,
  );
});
