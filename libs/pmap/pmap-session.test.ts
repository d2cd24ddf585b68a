import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PmapService, type SessionRequest, type SessionResponse } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { createLog } from '@odonata/rpc/log.ts';
import type { RawCall } from '@odonata/rpc/raw-call.ts';
import { createRpcServer, failStream, type Handlers, raw } from '@odonata/rpc/server.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { DescriptorDoor } from '@odonata/userfault/descriptor-door.ts';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Errno } from './errno.ts';
import { PmapSession } from './pmap-session.ts';

type Stream = RawCall<SessionRequest, SessionResponse>;

/** Longer than any test takes, where the end of the wait is not what is looked at. */
const LONG_MS = 60_000;
const log = createLog('test', 'fatal');
let folder: string;
let userfault: number;
let door: DescriptorDoor;
let session: PmapSession;
let server: ReturnType<typeof createRpcServer>;
/** Streams that are open, and how many there ever were. */
const open = new Set<Stream>();
let opened = 0;
let lost: number;
/** What the pmap manager does with a hello. */
let greet: (stream: Stream, resumes: boolean) => void;

const say = (stream: Stream, event: unknown): void => {
  stream.write({ events: [{ request: 0n, event }] } as SessionResponse);
};
const welcome = (stream: Stream): void =>
  say(stream, { case: 'welcome', value: { faultToken: new Uint8Array(16).fill(7), wire: wireSpoken() } });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-session-'));
  userfault = openSync('/dev/null', 'r');
  door = new DescriptorDoor(join(folder, 'door'));
  open.clear();
  opened = 0;
  lost = 0;
  greet = welcome;
  const handlers = {
    session: raw((call) => {
      const stream = call as unknown as Stream;
      open.add(stream);
      opened++;
      const over = () => open.delete(stream);
      stream.on('data', (request: SessionRequest) => {
        const hello = request.events[0]?.event;
        if (hello?.case === 'hello') greet(stream, hello.value.resumeToken.length > 0);
      });
      stream.on('cancelled', over);
      stream.on('error', over);
      stream.on('end', () => {
        over();
        stream.end();
      });
    }),
  } as Partial<Handlers<typeof PmapService>> as Handlers<typeof PmapService>;
  server = createRpcServer({ name: 'pmapd', log }).add(PmapService, handlers);
  await server.listen(`unix:${join(folder, 'pmapd')}`);
});

afterEach(async () => {
  session.close();
  await server.drain(0);
  door.close();
  closeSync(userfault);
  rmSync(folder, { recursive: true });
});

async function joined(handOverMs: number): Promise<void> {
  session = new PmapSession({
    address: `unix:${join(folder, 'pmapd')}`,
    userfaultSocket: join(folder, 'door'),
    name: 'default',
    userfault,
    log,
    handOverMs,
    onEvent: () => {},
    onMoving: () => {},
    onLost: () => lost++,
  });
  await session.whenReady();
}

test('what a program makes up is refused to that program, and ends no session', async () => {
  greet = (stream) => welcome(stream);
  await joined(1_000);
  const made = (name: string) => session.ask({ case: 'open', value: { name, vmspace: 1n } });
  await expect(made('x'.repeat(2 ** 20 + 1))).rejects.toMatchObject({ errno: Errno.inval });
  await expect(made('a\u001b[2Jb')).rejects.toMatchObject({ errno: Errno.inval });
  expect([open.size, opened, lost]).toEqual([1, 1, 0]);
});

test('locks and waits of a process that is over are given up: nobody answers them', async () => {
  await joined(1_000);
  const locked = (owner: bigint) =>
    session.ask({ case: 'lock', value: { dataspace: 1n, mode: 1, owner, timeoutMs: -1n } });
  const waits = session.ask({ case: 'wait', value: { dataspace: 1n, owner: 7n, timeoutMs: -1n } });
  const [gone, other] = [locked(7n), locked(8n)];
  session.ownerGone(7n);
  await expect(gone).rejects.toMatchObject({ errno: Errno.canceled });
  await expect(waits).rejects.toMatchObject({ errno: Errno.canceled });
  expect(await Promise.race([other, Promise.resolve('waits')])).toBe('waits');
});

test('handed over to nobody: it gives up, and joins once, on one stream', async () => {
  await joined(200);
  // Whoever comes to resume is neither welcomed nor refused.
  greet = (stream, resumes) => {
    if (!resumes) welcome(stream);
  };
  say([...open][0]!, { case: 'handingOver', value: {} });
  await vi.waitFor(() => expect(lost).toBe(1), 10_000);
  await session.whenReady();
  // A second one would come after at most the second delay between tries, twice 30 ms and some chance. What was asked on
  // the stream proves that the first one lives: it is not the second one that took its place.
  const [mine] = [...open];
  const tries = opened;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect([...open]).toEqual([mine]);
  expect(opened).toBe(tries);
  expect(lost).toBe(1);
});

test.each([
  ['in other words', 'nobody of that name is known'],
  ['in ours', 'no session waits to be resumed under this token'],
])('a next pmap manager that knows of no session ends the move at once, %s', async (_, words) => {
  await joined(LONG_MS);
  greet = (stream, resumes) => {
    if (resumes) failStream(stream, new RpcError(Code.Unauthenticated, words));
    else welcome(stream);
  };
  say([...open][0]!, { case: 'handingOver', value: {} });
  await vi.waitFor(() => expect(lost).toBe(1), 10_000);
  await session.whenReady();
});

test('one that is not there yet is asked again, whatever its words', async () => {
  await joined(LONG_MS);
  let refusals = 0;
  greet = (stream, resumes) => {
    if (resumes && refusals++ < 3)
      failStream(stream, new RpcError(Code.Unavailable, 'UNAUTHENTICATED is what somebody else was told'));
    else welcome(stream);
  };
  say([...open][0]!, { case: 'handingOver', value: {} });
  await vi.waitFor(() => expect(refusals).toBeGreaterThanOrEqual(4), 10_000);
  await session.whenReady();
  expect(lost).toBe(0);
});
