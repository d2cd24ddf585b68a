// A release that speaks another version of the wire, 0.1.0 out of the history, is refused by services of now, and refuses
// nobody: those refuse it. Each time one line says which side is older.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { startVkctl } from '../cluster/command.ts';
import { ServiceProcess, until } from '../operate/service-process.ts';
import { BEFORE_VERSIONS, isInHistory, takeRelease } from './earlier-release.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-refused-'));
const memory = mkdtempSync('/dev/shm/odonata-refused-');
const processes: ServiceProcess[] = [];
afterAll(async () => {
  await Promise.all(processes.map((process) => process.stop()));
  for (const each of [folder, memory]) rmSync(each, { recursive: true, force: true });
}, 60_000);

const there = isInHistory(BEFORE_VERSIONS);
if (!there) console.log(`skipped: ${BEFORE_VERSIONS} (0.1.0) is not in this clone; git fetch --unshallow`);

test.skipIf(!there)(
  '0.1.0 and this release refuse each other, and say which is older',
  {
    timeout: 150_000,
  },
  async () => {
    const [natsA, natsB, routerNow, routerOld, cohdNow, cohdOld, ready] = (await pickPorts(7)).map(
      (port) => `127.0.0.1:${port}`,
    ) as [string, string, string, string, string, string, string];
    const old = takeRelease(BEFORE_VERSIONS, join(folder, 'old'));
    const run = (name: string, services: string, args: string[]): ServiceProcess => {
      const process_ = new ServiceProcess(process.execPath, [join(services, name, 'main.ts'), ...args]);
      processes.push(process_);
      return process_;
    };
    const services = join(import.meta.dirname, '../../services');
    for (const [i, address] of [natsA, natsB].entries())
      processes.push(ServiceProcess.nats(Number(address.split(':')[1]), join(folder, `nats${i}`)));
    const node = (name: string, nats: string, router: string, directory: string, more: string[] = []) => {
      const [sockets, files] = [join(folder, name), join(memory, name)];
      for (const each of [sockets, files]) mkdirSync(each, { mode: 0o700 });
      const places = ['--socket-dir', sockets, '--memory-dir', files, '--frames-bytes', `${1 << 26}`];
      const lines = ['--nats', `nats://${nats}`, '--syslink', router, '--directory', directory];
      return ['--node', name, '--node-index', '1', '--listen', '127.0.0.1:0', ...places, ...lines, ...more];
    };
    const directory = (replica: string, listen: string, nats: string, router: string) => {
      const about = ['--replica', replica, '--standalone', '--listen', listen];
      return [...about, '--nats', `nats://${nats}`, '--syslink', router];
    };
    const syslinkd = run('syslinkd', services, ['--listen', routerNow]);
    run('syslinkd', old, ['--listen', routerOld]);
    const cohd = run('cohd', services, directory('cohd1', cohdNow, natsA, routerOld));
    run('cohd', old, directory('cohd2', cohdOld, natsB, routerNow));
    run('pmapd', old, node('node1', natsA, routerNow, cohdNow));
    const pmapd = run(
      'pmapd',
      services,
      node('node2', natsB, routerNow, cohdOld, ['--metrics-listen', ready]),
    );
    const says = (process_: ServiceProcess, line: string) =>
      until(line, 60_000, () => (process_.stderr.includes(line) ? true : undefined), process_);

    await says(
      cohd,
      'node1/pmapd speaks wire version 1, this cohd 2: pmapd is older; upgrade it (docs/upgrade.md)',
    );
    await says(syslinkd, 'cohd2 speaks wire version 1, this syslinkd 2: cohd2 is older; upgrade it');
    await says(
      cohd,
      `syslinkd at ${routerOld} speaks wire version 1, this cohd1 2: syslinkd is older; upgrade it`,
    );
    const line = `cohd2 at ${cohdOld} speaks wire version 1, this pmapd 2: cohd2 is older; upgrade it`;
    await says(pmapd, line);
    // Refused each second or so, it says so once.
    expect(pmapd.stderr.split(line).length - 1).toBe(1);
    expect(await (await fetch(`http://${ready}/readyz`)).text()).toContain(line);
    for (const command of ['ps', 'status']) {
      const env = { ...process.env, ODONATA_SYSLINK: routerOld, NO_COLOR: '1' };
      const { code, stdout, stderr } = await startVkctl([command], { env }).ended;
      const said = `vkctl: syslinkd at ${routerOld} speaks wire version 1, this client 2: syslinkd is older`;
      expect({ command, code, stdout, stderr }).toEqual({
        ...{ command, code: 1, stdout: '' },
        stderr: `${said}; upgrade it (docs/upgrade.md)\n`,
      });
    }
  },
);
