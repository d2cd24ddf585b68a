// As on Kubernetes: directories wait for NATS, and three new servers of it come at once.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { ServiceProcess } from './service-process.ts';

const COUNT = 3;
const folder = mkdtempSync(join(tmpdir(), 'odonata-start-together-'));
const processes: ServiceProcess[] = [];
afterAll(async () => {
  await Promise.all(processes.map((process) => process.stop()));
  rmSync(folder, { recursive: true });
});

it('three directories start with three servers of NATS, and none gives up', {
  timeout: 150_000,
}, async () => {
  const ports = await pickPorts(2 * COUNT);
  const routes = ports.slice(COUNT).map((port) => `nats://127.0.0.1:${port}`);
  const directories = ports.slice(0, COUNT).map((port, i) => {
    const nats = ['--nats', `nats://127.0.0.1:${port}`, '--nats-replicas', `${COUNT}`];
    const flags = ['--listen', '127.0.0.1:0', '--syslink', '127.0.0.1:1', '--replica', `cohd${i}`, ...nats];
    return ServiceProcess.service('cohd', flags);
  });
  processes.push(...directories);
  await Promise.all(directories.map((directory) => directory.line('connecting to NATS')));
  for (const [i, route] of routes.entries()) {
    const cluster = ['--cluster_name', 'test', '--cluster', route, '--routes', routes.join(',')];
    const place = join(folder, `${i}`);
    processes.push(ServiceProcess.nats(ports[i]!, place, ['-n', `server${i}`, ...cluster]));
  }
  await Promise.all(directories.map((directory) => directory.line('cohd is up', 90_000)));
  expect(directories.map(({ child }) => child.exitCode)).toEqual([null, null, null]);
});
