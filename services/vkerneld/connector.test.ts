import { type AddressInfo, createServer, type Server } from 'node:net';
import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { EventLog } from '@odonata/rpc/events.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AllowedConnections } from './allowed-connections.ts';
import { Connector } from './connector.ts';
import { NamesAsked } from './names-asked.ts';
import type { Process } from './process-table.ts';
import { Errno } from './vkernel/wasi/errno.ts';
import type { VkernelChild } from './vkernel-child.ts';

describe('connections of programs that end', () => {
  let server: Server;
  let port: number;
  let accepted = 0;
  beforeAll(async () => {
    server = createServer((socket) => {
      accepted++;
      socket.on('error', () => {});
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => void server.close());

  /** What a virtual kernel is told, and how many descriptors it gets. */
  function scene() {
    const told: unknown[] = [];
    const child = {
      key: 'alice/default',
      descriptors: 0,
      sendDescriptor: () => child.descriptors++,
      send: (order: { value: { errno: number } }) => told.push(order.value.errno),
    };
    const process = { pid: 1n, user: 'alice', connect: [`db.example:${port}`], state: ProcessState.RUNNING };
    const looked = Promise.withResolvers<string>();
    const log = silentLog();
    const connector = new Connector({
      allowed: new AllowedConnections([`db.example:${port}`], 'n'),
      security: new SecurityEvents(new EventLog({ service: 'vkerneld', log })),
      log,
      names: new NamesAsked(() => looked.promise),
    });
    const serve = () =>
      connector.serve(child as unknown as VkernelChild, process as unknown as Process, {
        number: 1,
        address: `db.example:${port}`,
      });
    return { told, child, process, looked, serve };
  }

  it('one that runs gets its descriptor', async () => {
    const { told, child, looked, serve } = scene();
    looked.resolve('127.0.0.1');
    await serve();
    expect([told, child.descriptors]).toEqual([[Errno.success], 1]);
  });

  it('what a program was allowed ends with it: nothing is connected for one that has ended, or ends meanwhile', async () => {
    const before = accepted;
    const over = scene();
    over.process.state = ProcessState.EXITED;
    await over.serve();
    expect([over.told, over.child.descriptors]).toEqual([[Errno.connaborted], 0]);

    const meanwhile = scene();
    const serving = meanwhile.serve();
    meanwhile.process.state = ProcessState.ENDING;
    meanwhile.looked.resolve('127.0.0.1');
    await serving;
    expect([meanwhile.told, meanwhile.child.descriptors]).toEqual([[Errno.connaborted], 0]);
    expect(accepted).toBe(before);
  });
});
