// Folders of other nodes between two supervisors, where the virtual kernel on either side is not what it should be.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import {
  FileAnswerSchema,
  FileCallSchema,
  FileOp,
  type FolderRequest,
} from '@odonata/proto/vkernel/v1/files';
import { type OpenFolderRequest, OpenFolderRequestSchema } from '@odonata/proto/vkernel/v1/peer';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { createLog } from '@odonata/rpc/log.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import { afterAll, expect, test, vi } from 'vitest';
import { AllowedDirectories } from '../allowed-directories.ts';
import { ProcessTable } from '../process-table.ts';
import { Errno } from '../vkernel/wasi/errno.ts';
import type { Order, VkernelChild } from '../vkernel-child.ts';
import type { Vkernels } from '../vkernels.ts';
import { FoldersElsewhere } from './folders-elsewhere.ts';
import { FoldersServed } from './folders-served.ts';
import type { Peers } from './peers.ts';

const log = createLog('test', 'fatal');
const folder = mkdtempSync(join(tmpdir(), 'odonata-folders-'));
const directories = new AllowedDirectories([folder], 'node2', log);
directories.withoutMounts();
afterAll(() => {
  directories.close();
  rmSync(folder, { recursive: true });
});

/** What a supervisor knows of a virtual kernel, and what it was told. */
function childOf(user: string, name = 'default') {
  const orders: Order[] = [];
  const gone = Promise.withResolvers<void>();
  const child = {
    ...{ user, key: `${user}/${name}`, record: { user, groups: [] }, gone: gone.promise, orders },
    end: () => gone.resolve(),
    send: (order: Order) => void orders.push(order),
    drained: async () => {},
    idMapping: async () => undefined,
    sendDescriptor: () => {},
  };
  return child as typeof child & VkernelChild;
}

const contextOf = (signal: AbortSignal) => ({ signal, log }) as unknown as CallContext;
const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

/** Requests as they come. */
function line() {
  const waiting: OpenFolderRequest[] = [];
  let wake = () => {};
  let taken = 0;
  return {
    taken: () => taken,
    say(event: object) {
      waiting.push(create(OpenFolderRequestSchema, { event } as never));
      wake();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const next = waiting.shift();
        if (next === undefined) await new Promise<void>((resolve) => (wake = resolve));
        else {
          taken++;
          yield next;
        }
      }
    },
  };
}

const startOf = (user: string, hostPath: string) => ({
  case: 'start',
  value: { asker: { user, vkernel: 'default', node: 1 }, folder: { hostPath, guestPath: '/x' } },
});
const callOf = (number: number, more = {}) => ({
  case: 'call',
  value: create(FileCallSchema, { number, op: FileOp.STAT, ...more }),
});

function serving(child: VkernelChild) {
  const vkernels = { demand: async () => child } as unknown as Vkernels;
  return new FoldersServed({ vkernels, directories });
}

test('a folder that is not allowed is refused before a virtual kernel is started for it', async () => {
  const demand = vi.fn();
  const served = new FoldersServed({ vkernels: { demand } as unknown as Vkernels, directories });
  const requests = line();
  requests.say(startOf('alice', '/etc'));
  const answers = served.serve(requests, contextOf(new AbortController().signal));
  await expect(answers.next()).rejects.toMatchObject({ code: Code.PermissionDenied });
  expect(demand).not.toHaveBeenCalled();
});

test('what the virtual kernel says that was not asked is dropped; calls wait where too many are under way', async () => {
  const child = childOf('alice');
  const served = serving(child);
  const requests = line();
  requests.say(startOf('alice', folder));
  const over = new AbortController();
  const answers = served.serve(requests, contextOf(over.signal));
  const opened = answers.next();
  await settled();
  const { value } = child.orders[0]! as { value: FolderRequest };
  served.receive(childOf('mallory'), {
    folder: value.folder,
    event: { case: 'gone', value: { errno: 8 } },
  } as never);
  served.receive(child, { folder: value.folder, event: { case: 'opened', value: {} } } as never);
  expect((await opened).value!.event!.case).toBe('opened');
  const first = answers.next();
  for (let number = 1; number <= 100; number++) requests.say(callOf(number));
  await settled();
  // The 65th is taken, and waits.
  expect(requests.taken()).toBe(66);
  expect(child.orders).toHaveLength(65);
  const answer = (number: number) =>
    served.receive(child, {
      folder: value.folder,
      event: { case: 'answer', value: create(FileAnswerSchema, { number }) },
    } as never);
  answer(1_000);
  answer(7);
  answer(7);
  expect((await first).value!.event).toMatchObject({ case: 'answer', value: { number: 7 } });
  over.abort();
  await answers.return(undefined);
  await settled();
  expect(child.orders.at(-1)).toMatchObject({ value: { event: { case: 'close' } } });
});

test('two calls of one number end the stream, as does the end of the virtual kernel', async () => {
  for (const how of ['twice', 'ended'] as const) {
    const child = childOf('alice');
    const served = serving(child);
    const requests = line();
    requests.say(startOf('alice', folder));
    const answers = served.serve(requests, contextOf(new AbortController().signal));
    const opened = answers.next();
    await settled();
    served.receive(child, {
      folder: (child.orders[0]!.value as FolderRequest).folder,
      event: { case: 'opened', value: {} },
    } as never);
    await opened;
    const next = answers.next();
    if (how === 'twice') for (const number of [1, 1]) requests.say(callOf(number));
    else child.end();
    await expect(next).rejects.toMatchObject({
      code: how === 'twice' ? Code.InvalidArgument : Code.Unavailable,
    });
  }
});

test('a virtual kernel opens what its running processes were granted, and sends no more than is bounded', async () => {
  const table = new ProcessTable({ nodeIndex: 1 });
  const dirs = [{ hostPath: folder, guestPath: '/x', readOnly: false, node: 'node2' }];
  const alice = childOf('alice');
  const mallory = childOf('mallory');
  const { pid } = table.create(alice, ['a'], { dirs });
  const open = vi.fn((_requests: AsyncIterable<unknown>, { signal }: { signal: AbortSignal }) =>
    (async function* () {
      yield { event: { case: 'opened', value: {} } };
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      throw new RpcError(Code.Cancelled, 'cancelled');
    })(),
  );
  const peers = { byName: async () => ({ client: { openFolder: open } }) } as unknown as Peers;
  const elsewhere = new FoldersElsewhere({ node: 1, peers, table, log });
  const say = (child: VkernelChild, number: number, event: object) =>
    elsewhere.receive(child, { folder: number, event } as never);
  const told = (child: ReturnType<typeof childOf>) =>
    child.orders.map(
      (order) => (order.value as { event: { case: string; value: { errno?: number } } }).event,
    );

  say(mallory, 1, { case: 'open', value: { pid, place: 0 } });
  say(alice, 1, { case: 'open', value: { pid, place: 1 } });
  say(alice, 2, { case: 'open', value: { pid: 77n, place: 0 } });
  say(alice, 3, callOf(1));
  expect(open).not.toHaveBeenCalled();
  expect(told(mallory)).toMatchObject([{ case: 'gone', value: { errno: Errno.acces } }]);
  expect(told(alice).map(({ value }) => value.errno)).toEqual([Errno.acces, Errno.acces, Errno.stale]);

  for (let number = 10; number < 10 + 257; number++)
    say(alice, number, { case: 'open', value: { pid, place: 0 } });
  expect(told(alice).at(-1)).toMatchObject({ case: 'gone', value: { errno: Errno.nfile } });
  await settled();
  expect(open).toHaveBeenCalledTimes(256);

  // The other side takes nothing: the folder is lost, and what waits with it.
  const data = new Uint8Array(256 * 1024);
  for (let number = 0; number < 200; number++) say(alice, 10, callOf(number, { data }));
  await settled();
  expect(told(alice).at(-1)).toMatchObject({ case: 'gone' });

  elsewhere.lost(alice);
  await settled();
  table.exited(pid, { code: 0, signal: '', reason: '', stack: '' });
  say(alice, 1_000, { case: 'open', value: { pid, place: 0 } });
  expect(told(alice).at(-1)).toMatchObject({ case: 'gone', value: { errno: Errno.acces } });
});
