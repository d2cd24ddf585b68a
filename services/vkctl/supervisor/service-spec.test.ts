import { expect, test } from 'vitest';
import type { ClusterPlan } from '../cluster/record.ts';
import { serviceSpecs } from './service-spec.ts';

const PLAN: ClusterPlan = {
  cluster: 'test',
  stateDir: '/state',
  runtimeDir: '/run',
  memoryDir: '/memory',
  nodes: [{ name: 'node1', index: 1 }],
  ports: { syslinkd: [1001], nats: 1002, cohd: [1003, 1004], pmapd: [1005], vkerneld: [1006] },
  allowDirs: [],
  logLevel: 'warn',
};

/** What services are told of each other. */
function told(plan: ClusterPlan): string[] {
  const specs = serviceSpecs(plan, { node: 'node', natsServer: 'nats-server' });
  const flags = ['--syslink', '--directory', '--advertise', '--socket'];
  return specs.flatMap(({ name, args }) =>
    args.flatMap((arg, i) => (flags.includes(arg) ? [`${name} ${arg} ${args[i + 1]}`] : [])),
  );
}

test('services of one machine reach each other at unix sockets', () => {
  const all = told(PLAN);
  expect(all).toContain('node1/pmapd --directory unix:/run/cohd2.sock');
  expect(all).toContain('node1/pmapd --advertise unix:/run/node1/pmapd.sock');
  expect(all.filter((each) => each.includes('127.0.0.1'))).toEqual([]);
});

test('over TCP they are told hosts and ports alone', () => {
  const all = told({ ...PLAN, overTcp: true });
  expect(all).toContain('node1/pmapd --directory 127.0.0.1:1004');
  expect(all).toContain('node1/pmapd --advertise 127.0.0.1:1005');
  expect(all).toContain('cohd1 --advertise 127.0.0.1:1003');
  expect(all).toContain('node1/vkerneld --syslink 127.0.0.1:1001');
  expect(all.filter((each) => each.includes('/run'))).toEqual([]);
});
