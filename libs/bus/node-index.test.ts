import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '@odonata/rpc/log.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { ServiceProcess } from '../../test/operate/service-process.ts';
import { Bus } from './bus.ts';
import { claimNodeIndex } from './node-index.ts';

let folder: string;
let nats: ServiceProcess;
let url: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-bus-'));
  const [port] = (await pickPorts(1)) as [number];
  url = `127.0.0.1:${port}`;
  nats = ServiceProcess.nats(port, folder, ['--auth', 'secret']);
});
afterAll(async () => {
  await nats.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('numbers of nodes', () => {
  it('are different for nodes that start at once, from 1 on, and the same for a node that comes back', async () => {
    const log = silentLog();
    const never = new AbortController().signal;
    const names = Array.from({ length: 12 }, (_, i) => `machine-${i}.example`);
    const buses = await Promise.all(
      names.map((name) => Bus.connect({ url, token: 'secret', cluster: 'c', name, log })),
    );
    try {
      const claim = () => Promise.all(names.map((name, i) => claimNodeIndex(buses[i]!, name, log, never)));
      const first = await claim();
      expect([...first].sort((a, b) => a - b)).toEqual(names.map((_, i) => i + 1));
      expect(await claim()).toEqual(first);
    } finally {
      await Promise.all(buses.map((bus) => bus.close()));
    }
  });
});

describe('a bucket', () => {
  it('is read at the server that orders its changes, and not at any that may be behind', async () => {
    const about = { url, token: 'secret', cluster: 'c', name: 'reader', log: silentLog() };
    const [bus, spy] = await Promise.all([Bus.connect(about), Bus.connect(about)]);
    try {
      const asked: string[] = [];
      const callback = (_: unknown, { subject }: { subject: string }) => asked.push(subject);
      spy.nats.subscribe('$JS.API.>', { callback });
      const bucket = await bus.bucket('spied');
      await bucket.put('key', 'value');
      await spy.nats.flush();
      asked.length = 0;
      expect((await bucket.get('key'))?.string()).toBe('value');
      // The server answers before it tells who listens in.
      await bus.nats.flush();
      await spy.nats.flush();
      expect(asked).toEqual(['$JS.API.STREAM.MSG.GET.KV_odonata-c-spied']);
    } finally {
      await Promise.all([bus.close(), spy.close()]);
    }
  });
});
