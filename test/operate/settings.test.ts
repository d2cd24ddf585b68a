// What an operator gets for settings that cannot be used: one line that names the setting and its mend, and exit code 2.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { SERVICES, type ServiceName, ServiceProcess } from './service-process.ts';

let folder: string;
let nats: ServiceProcess;
let taken: Server;
let takenPort: number;
/** Enough to start. */
let flags: Record<ServiceName, string[]>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-settings-'));
  const [natsPort] = (await pickPorts(1)) as [number];
  nats = ServiceProcess.nats(natsPort, join(folder, 'nats'));
  taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  takenPort = (taken.address() as { port: number }).port;
  const bus = ['--nats', `127.0.0.1:${natsPort}`, '--syslink', '127.0.0.1:1'];
  const node = ['--node', 'n', '--node-index', '1', '--socket-dir', join(folder, 's')];
  flags = {
    cohd: bus,
    pmapd: [...node, ...bus, '--memory-dir', join(folder, 'memory'), '--directory', '127.0.0.1:1'],
    syslinkd: [],
    vkerneld: [...node, '--syslink', '127.0.0.1:1'],
  };
});
afterAll(async () => {
  await nats?.stop();
  taken?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function refused(name: ServiceName, args: string[], env?: NodeJS.ProcessEnv): Promise<string> {
  const service = ServiceProcess.service(name, args, env);
  expect(await service.ended, service.stderr).toBe(2);
  return service.stderr;
}

describe.each(SERVICES)('%s', (name) => {
  const variable = `ODONATA_${name.toUpperCase()}`;

  it('refuses a flag that there is not', async () => {
    const line = new RegExp(`^${name}: Unknown option '--colour' \\(see ${name} --help\\)\n$`);
    expect(await refused(name, [...flags[name], '--colour', 'red'])).toMatch(line);
  });

  it('refuses a wrong value, and says where it came from', async () => {
    const line = new RegExp(`^${name}: --listen: "7411": use host:port.*\n$`);
    expect(await refused(name, [...flags[name], '--listen', '7411'])).toMatch(line);
    const env = { [`${variable}_METRICS_LISTEN`]: '0.0.0.0:99999' };
    expect(await refused(name, flags[name], env)).toMatch(
      new RegExp(`^${name}: ${variable}_METRICS_LISTEN: "0.0.0.0:99999": .*\n$`),
    );
  });

  it.each(['listen', 'metrics-listen'])('refuses a --%s that is taken', async (flag) => {
    const other = flag === 'listen' ? [] : ['--listen', '127.0.0.1:0'];
    const log = await refused(name, [...flags[name], ...other, `--${flag}`, `127.0.0.1:${takenPort}`]);
    const fatal = log
      .trimEnd()
      .split('\n')
      .filter((line) => line.includes('"fatal"'));
    expect(fatal).toHaveLength(1);
    expect(JSON.parse(fatal[0]!).msg).toBe(
      `${name}: cannot listen on 127.0.0.1:${takenPort}: somebody else listens there; give --${flag} another address`,
    );
  });
});

describe.each(['pmapd', 'vkerneld'] as const)('%s', (name) => {
  it('says which setting is missing, and how to give it', async () => {
    const without = flags[name].filter((flag, at, all) => flag !== '--node' && all[at - 1] !== '--node');
    const variable = `ODONATA_${name.toUpperCase()}_NODE`;
    expect(await refused(name, without)).toBe(
      `${name}: --node is missing: give --node VALUE or set ${variable} (see ${name} --help)\n`,
    );
  });
});
