// What a router does with the bytes of a circuit, from what HTTP/2 gives it to what it gives HTTP/2: nobody looks into them, and
// nobody copies them. Real routers, which count what JavaScript copies in them; bytes through one, and through two.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { RecordService } from '@odonata/proto/service/v1/service';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { FileOp } from '@odonata/proto/vkernel/v1/files';
import { type OpenFolderResponseSchema, PeerService } from '@odonata/proto/vkernel/v1/peer';
import { delay } from '@odonata/rpc/backoff.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { afterEach, expect, it } from 'vitest';
import { freePorts } from '../../test/sockets/free-ports.ts';

const PIECES = 128;
const PIECE_BYTES = 64 * 1024;
const log = silentLog();
const routers: ChildProcess[] = [];
const endpoints: SyslinkEndpoint[] = [];

afterEach(async () => {
  for (const endpoint of endpoints.splice(0)) endpoint.close();
  for (const router of routers.splice(0)) {
    const gone = once(router, 'exit');
    router.kill('SIGKILL');
    await gone;
  }
});

function router(port: number, peers: string): () => Promise<number> {
  const [main, counting] = ['main.ts', 'testdata/count-copies.ts'].map((file) =>
    join(import.meta.dirname, file),
  );
  const settings = [
    '--listen',
    `127.0.0.1:${port}`,
    '--settle-ms',
    '0',
    '--log-level',
    'fatal',
    '--name',
    `r${port}`,
  ];
  const args = ['--import', counting!, main!, ...settings, ...(peers === '' ? [] : ['--peers', peers])];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  routers.push(child);
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
  return async () => {
    child.kill('SIGUSR2');
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error('the router ended');
      if (String(value).startsWith('{"copied"')) return (JSON.parse(value) as { copied: number }).copied;
    }
  };
}

function attached(port: number, name: string): SyslinkEndpoint {
  const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.VKERNEL;
  const endpoint = attachSyslink({ address: `127.0.0.1:${port}`, name, kind, log, folder: undefined });
  endpoints.push(endpoint);
  return endpoint;
}

const event = (value: Uint8Array) => ({ event: { case: 'data' as const, value } });
const piece = (i: number): Uint8Array => new Uint8Array(PIECE_BYTES).fill(i);

/** Routers in a row, and an endpoint at each end. */
async function row(count: number, serve: (far: SyslinkEndpoint) => void) {
  const ports = await freePorts(count);
  const copied = ports.map((port, i) => router(port, i === 0 ? '' : `127.0.0.1:${ports[i - 1]}`));
  const far = attached(ports.at(-1)!, 'node1/vkerneld');
  serve(far);
  const near = attached(ports[0]!, '');
  await Promise.all([near, far].map((each) => each.ready({ deadlineMs: 20_000 })));
  while (!(await near.listEndpoints()).some(({ name }) => name === 'node1/vkerneld')) await delay(50);
  const before = await Promise.all(copied.map((each) => each()));
  return {
    near,
    /** Copied by each router, of all that passed. */
    shares: async (bytes: number) =>
      (await Promise.all(copied.map((each) => each()))).map((now, i) => (now - before[i]!) / bytes),
  };
}

const hashOf = (pieces: Iterable<Uint8Array>): string => {
  const hash = createHash('sha256');
  for (const each of pieces) hash.update(each);
  return hash.digest('hex');
};
const pieces = Array.from({ length: PIECES }, (_, i) => piece(i));
// What is cut within the first bytes of a message is put together again: seldom.
const NEARLY_NONE = 0.05;

it.each([1, 2])('copies nothing of what a circuit carries, through %i', async (count) => {
  const { near, shares } = await row(count, (far) =>
    far.serve(PeerService, {
      async *connect(requests) {
        for await (const { event: each } of requests) if (each.case === 'data') yield event(each.value);
      },
    }),
  );
  async function* sent() {
    for (const each of pieces) yield event(each);
  }
  const came: Uint8Array[] = [];
  for await (const { event: each } of near.client(PeerService, { name: 'node1/vkerneld' }).connect(sent()))
    if (each.case === 'data') came.push(each.value.slice());
  expect(hashOf(came)).toBe(hashOf(pieces));
  // There and back.
  for (const share of await shares(2 * PIECES * PIECE_BYTES)) expect(share).toBeLessThan(NEARLY_NONE);
});

it.each([1, 2])(
  'nor of what is written into a folder of another node, and read from it, through %i',
  async (count) => {
    const { near, shares } = await row(count, (far) =>
      far.serve(PeerService, {
        async *openFolder(requests): AsyncGenerator<MessageInitShape<typeof OpenFolderResponseSchema>> {
          for await (const { event: each } of requests) {
            if (each.case === 'start') yield { event: { case: 'opened', value: {} } };
            if (each.case !== 'call') continue;
            const { number, data } = each.value;
            yield { event: { case: 'answer', value: { number, data, written: data.length } } };
          }
        },
      }),
    );
    const asker = { node: 2, user: 'alice', vkernel: 'default' };
    async function* calls() {
      const start = { asker, folder: { hostPath: '/data', guestPath: '/', readOnly: false } };
      yield { event: { case: 'start' as const, value: start } };
      for (const [at, data] of pieces.entries())
        yield {
          event: { case: 'call' as const, value: { number: at + 1, op: FileOp.WRITE, handle: 1, data } },
        };
    }
    const peer = near.client(PeerService, { name: 'node1/vkerneld' });
    const came: Uint8Array[] = [];
    for await (const { event: each } of peer.openFolder(calls(), { lasting: 'with-caller' }))
      if (each.case === 'answer') came.push(each.value.data.slice());
    expect(hashOf(came)).toBe(hashOf(pieces));
    for (const share of await shares(2 * PIECES * PIECE_BYTES)) expect(share).toBeLessThan(NEARLY_NONE);
  },
);

it.each([1, 2])('the bulk of a message once in each, through %i', async (count) => {
  const parts: Uint8Array[] = [];
  const { near, shares } = await row(count, (far) =>
    far.serve(RecordService, {
      putPart({ part, data }) {
        parts[part] = data.slice();
        return {};
      },
      getPart: ({ part }) => ({ data: parts[part]! }),
    }),
  );
  const records = near.client(RecordService, { name: 'node1/vkerneld' });
  const digest = 'ab'.repeat(32);
  const came: Uint8Array[] = [];
  for (const [part, data] of pieces.entries()) await records.putPart({ digest, part, data });
  for (const part of pieces.keys()) came.push((await records.getPart({ digest, part })).data.slice());
  expect(hashOf(came)).toBe(hashOf(pieces));
  for (const share of await shares(2 * PIECES * PIECE_BYTES)) expect(share).toBeLessThan(1 + NEARLY_NONE);
});
