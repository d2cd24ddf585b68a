import type { Cluster } from '@odonata/client/cluster.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { expect, test, vi } from 'vitest';
import type { Entrant } from './login.ts';
import { People } from './people.ts';

const log = { debug: () => {} } as unknown as Logger;
const entrant = (fingerprint256: string): Entrant => ({
  ...{ who: fingerprint256, role: 'viewer', untilMs: Number.POSITIVE_INFINITY, forget: () => {} },
  folder: { identity: { certificate: { fingerprint256 } } } as TlsFolder,
});

test('somebody leaves while somebody else is not let in: the console goes on', async () => {
  const unhandled = vi.fn();
  process.on('unhandledRejection', unhandled);
  let refuse = (_error: Error): void => {};
  const cluster = { nodes: async () => [], close: vi.fn() } as unknown as Cluster;
  const stranger = entrant('stranger');
  const people = new People({
    log,
    connect: async (folder) =>
      folder === stranger.folder ? await new Promise((_, reject) => (refuse = reject)) : cluster,
  });
  const watch = await people.enter(entrant('alice'));
  const entering = people.enter(stranger);
  await vi.waitFor(() => expect(refuse.length).toBe(1));
  await new Promise(setImmediate);
  people.left(watch!);
  refuse(new RpcError(Code.Unauthenticated, 'who is that?'));
  await expect(entering).rejects.toThrow('who is that?');
  await new Promise(setImmediate);
  process.off('unhandledRejection', unhandled);
  expect(unhandled).not.toHaveBeenCalled();
  expect(cluster.close).toHaveBeenCalledOnce();
  people.close();
});
