// A router and its lines to other routers, without sockets: who asked, who is answered, what a line that lies reaches.
import { create } from '@bufbuild/protobuf';
import { CallerSchema, Role } from '@odonata/proto/auth/v1/access';
import type { Frame } from '@odonata/proto/syslink/v1/syslink';
import { AddressSchema, EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import { ANYONE, parseIdentity } from '@odonata/rpc/identity/identity.ts';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { expect, it } from 'vitest';
import type { Connection, Endpoint } from './registry.ts';
import { Router } from './router.ts';

const HERE = 7;
const THERE = 8;
const identity = (router: number, n: number) => (BigInt(router) << 32n) + BigInt(n);

class Line implements Connection {
  readonly frames: Frame['frame'][] = [];
  readonly waitingBytes = 0;
  readonly caller = ANYONE;
  ended: RpcError | undefined;
  send(sent: Frame, taken?: () => void): void {
    this.frames.push(structuredClone(sent.frame));
    taken?.();
  }
  end(error: RpcError): void {
    this.ended = error;
  }
  /** The last message. */
  get message() {
    const last = this.frames.at(-1);
    if (last?.case !== 'message') throw new Error(`no message but ${last?.case}`);
    return last.value;
  }
}

/** One router with `b` attached, and a line on which everybody else is. */
function make(dialled = true) {
  let link: Endpoint | undefined;
  const router: Router = new Router({
    number: HERE,
    elsewhere: {
      names: () => [],
      holders: () => [],
      linkTo: ({ sysid, name }, from) => {
        const away = name === 'far' || sysid >> 32n === BigInt(THERE);
        return away && link !== from ? link : undefined;
      },
    },
  });
  const line = new Line();
  link = router.addLink('there', line, dialled);
  const b = new Line();
  const attach = (at: Line, name: string, caller = ANYONE) => {
    const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.PMAP;
    router.receive(
      Object.assign(at, { caller }),
      frame({ case: 'register', value: { name, kind, session: 1n, wire: wireSpoken() } }),
      0,
    );
  };
  attach(b, 'b');
  const sends = (at: Line, init: Parameters<typeof frame>[0]) => router.receive(at, frame(init), 0);
  const asks = (at: Line, name: string, msgid: bigint, more: object = {}) =>
    sends(at, { case: 'message', value: { to: { name }, msgid, proto: '/p', hopLimit: 8, ...more } });
  return { router, link, line, b, attach, sends, asks };
}

const from = (n: number, router = THERE) => create(AddressSchema, { sysid: identity(router, n) });

it('who asked from far away is told to whoever answers, and gets the answer', () => {
  const { line, b, sends, asks } = make();
  const caller = create(CallerSchema, { role: Role.USER, name: 'alice' });
  // Two that use one number.
  asks(line, 'b', 1n, { from: from(1), caller });
  asks(line, 'b', 1n, { from: from(2), caller });
  expect(
    b.frames.slice(1).map((f) => f.case === 'message' && [f.value.from?.sysid, f.value.caller?.name]),
  ).toEqual([
    [identity(THERE, 1), 'alice'],
    [identity(THERE, 2), 'alice'],
  ]);
  for (const n of [2, 1]) {
    sends(b, { case: 'message', value: { to: from(n), msgid: 1n, proto: '/p', reply: true } });
    expect(line.message).toMatchObject({
      reply: true,
      to: { sysid: identity(THERE, n) },
      from: { name: 'b' },
    });
  }
});

it('an endpoint cannot say who it is to far away', () => {
  const { line, attach, asks } = make();
  const client = new Line();
  attach(client, '', parseIdentity('odonata://test/user/bob')!);
  const forged = create(CallerSchema, { role: Role.ADMIN, name: 'root' });
  asks(client, 'far', 1n, { from: from(9), caller: forged });
  expect(line.message).toMatchObject({ caller: { role: Role.USER, name: 'bob' }, hopLimit: 7 });
  expect(line.message.from!.sysid >> 32n).toBe(BigInt(HERE));
});

it.each([
  ['one of ours', { from: from(1, HERE) }],
  ['nobody', { from: create(AddressSchema, {}) }],
])('a line that asks in the name of %s reaches nobody', (_, more) => {
  const { line, b, sends, asks } = make();
  asks(line, 'b', 1n, more);
  expect(line.message.status?.code).toBe(Code.PermissionDenied);
  sends(line, {
    case: 'circuitOpen',
    value: { circuit: 2n, to: { name: 'b' }, proto: '/p', hopLimit: 8, ...more },
  });
  expect(line.frames.at(-1)).toMatchObject({ case: 'circuitClose', value: { circuit: 2n } });
  expect(b.frames).toHaveLength(1);
});

it('nothing goes back by the line that it came by, and nothing goes on without hops', () => {
  const { line, asks, attach } = make();
  asks(line, 'far', 1n, { from: from(1) });
  expect(line.message).toMatchObject({ reply: true, status: { code: Code.NotFound } });
  const client = new Line();
  attach(client, '');
  asks(client, 'far', 1n, { hopLimit: 0 });
  expect(client.message.status?.code).toBe(Code.FailedPrecondition);
});

it.each([true, false])('both sides of a line open circuits, whoever dialled (%s)', (dialled) => {
  const { line, b, sends } = make(dialled);
  const [ours, theirs] = dialled ? [1n, 2n] : [2n, 1n];
  sends(b, { case: 'circuitOpen', value: { circuit: 1n, to: { name: 'far' }, proto: '/p', hopLimit: 8 } });
  expect(line.frames.at(-1)).toMatchObject({ case: 'circuitOpen', value: { circuit: ours } });
  sends(line, {
    case: 'circuitOpen',
    value: { circuit: theirs, to: { name: 'b' }, from: from(1), hopLimit: 8 },
  });
  expect(b.frames.at(-1)).toMatchObject({ case: 'circuitOpen', value: { circuit: 2n } });
  sends(line, {
    case: 'circuitOpen',
    value: { circuit: ours + 2n, to: { name: 'b' }, from: from(1), hopLimit: 8 },
  });
  expect(line.frames.at(-1)).toMatchObject({ case: 'circuitClose', value: { circuit: ours + 2n } });
  sends(b, { case: 'circuitData', value: { circuit: 1n, data: new Uint8Array(3) } });
  expect(line.frames.at(-1)).toMatchObject({ case: 'circuitData', value: { circuit: ours } });
});

it('a line that breaks is answered for: requests, circuits both ways', () => {
  const { router, line, b, sends, asks } = make();
  asks(b, 'far', 1n);
  sends(b, { case: 'circuitOpen', value: { circuit: 1n, to: { name: 'far' }, proto: '/p', hopLimit: 8 } });
  sends(line, { case: 'circuitOpen', value: { circuit: 2n, to: { name: 'b' }, from: from(1), hopLimit: 8 } });
  asks(line, 'b', 5n, { from: from(1) });
  router.disconnected(line, 0);
  expect(router.idle).toBe(true);
  const told = b.frames
    .slice(1)
    .filter((f) => (f.case === 'message' && f.value.reply) || f.case === 'circuitClose');
  const codes = told.map((f) =>
    f.case === 'message' || f.case === 'circuitClose' ? f.value.status?.code : undefined,
  );
  expect(codes).toEqual([Code.Unavailable, Code.Unavailable, Code.Unavailable]);
  // It is late, and nobody's.
  sends(b, { case: 'message', value: { to: from(1), msgid: 5n, proto: '/p', reply: true } });
  expect(router.idle).toBe(true);
});

it('survives frames of any order from a line, and owes nobody anything after it', () => {
  let seed = 11;
  const random = (n: number) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return (seed >> 8) % n;
  };
  const { router, link, line, b, sends, attach } = make();
  const client = new Line();
  attach(client, '');
  const to = () => ({
    name: ['b', 'far', '', 'x', ':n', 'anyone:n'][random(6)]!,
    sysid: random(3) ? 0n : identity(THERE - random(2), random(4)),
  });
  for (let i = 0; i < 20_000; i++) {
    const at = [line, line, b, client][random(4)]!;
    const circuit = BigInt(random(12));
    const head = {
      to: to(),
      from: random(9) ? from(random(3), THERE - random(2)) : undefined,
      hopLimit: random(4),
    };
    switch (random(8)) {
      case 0:
      case 1:
        sends(at, { case: 'message', value: { ...head, msgid: circuit, reply: random(2) === 0 } });
        break;
      case 2:
        sends(at, { case: 'circuitOpen', value: { ...head, circuit } });
        break;
      case 3:
        sends(at, { case: 'circuitData', value: { circuit, data: new Uint8Array(random(100)) } });
        break;
      case 4:
        sends(at, { case: 'circuitWindow', value: { circuit, takenBytes: random(200) } });
        break;
      case 5:
        sends(at, { case: 'circuitClose', value: { circuit, half: random(2) === 0 } });
        break;
      case 6:
        sends(at, { case: 'nameRegister', value: { name: [':n', 'anyone:n', 'n', ''][random(4)]! } });
        break;
      case 7:
        sends(at, { case: 'nameWithdraw', value: { name: ':n' } });
    }
    for (const each of [line, b, client]) each.frames.length = 0;
  }
  expect(line.ended).toBeUndefined();
  router.disconnected(line, 0);
  router.disconnected(client, 0);
  router.disconnected(b, 0);
  for (const { owed, asked, legs } of [...router.endpoints(), link])
    expect([owed.size, asked.size, legs.size]).toEqual([0, 0, 0]);
  expect(router.names.here()).toEqual([]);
});
