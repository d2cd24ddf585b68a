import { create } from '@bufbuild/protobuf';
import type { Frame } from '@odonata/proto/syslink/v1/syslink';
import { CircuitDataSchema, EndpointKind, MessageSchema } from '@odonata/proto/syslink/v1/syslink';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { ANYONE, type Caller, parseIdentity } from '@odonata/rpc/identity/identity.ts';
import { CIRCUIT_WINDOW_BYTES, frame } from '@odonata/rpc/syslink/frame.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { describe, expect, it } from 'vitest';
import { CLIENTS_LIMIT, type Connection } from './registry.ts';
import { Router } from './router.ts';

/** An endpoint as the router sees it: frames in, frames out, kept as short text. */
class Peer implements Connection {
  readonly got: string[] = [];
  readonly frames: Frame[] = [];
  readonly caller: Caller;
  waitingBytes = 0;
  ended: RpcError | undefined;
  readonly router: Router;
  constructor(
    router: Router,
    name: string,
    session = 1n,
    kind = name === '' ? EndpointKind.CLIENT : EndpointKind.PMAP,
    nowMs = 0,
    caller: Caller = ANYONE,
  ) {
    this.caller = caller;
    this.router = router;
    this.sends({ case: 'register', value: { name, kind, session, wire: wireSpoken() } }, nowMs);
  }
  /** Its stream takes nothing more. */
  deaf = false;
  send(sent: Frame, taken?: () => void): void {
    this.frames.push(sent);
    this.got.push(shown(sent));
    if (!this.deaf) taken?.();
  }
  end(error: RpcError): void {
    this.ended = error;
  }
  sends(init: Parameters<typeof frame>[0], nowMs = 0): void {
    this.router.receive(this, frame(init), nowMs);
  }
  asks(to: object, msgid: bigint, more: object = {}, nowMs = 0): void {
    this.sends({ case: 'message', value: { to, msgid, proto: '/p', hopLimit: 8, ...more } }, nowMs);
  }
  /** Answers the last message. */
  answers(): void {
    const last = this.frames.at(-1)!.frame;
    if (last.case !== 'message') throw new Error('no message to answer');
    const { from, msgid, proto } = last.value;
    this.sends({ case: 'message', value: { to: from, msgid, proto, reply: true, status: { code: 0 } } });
  }
  get sysid(): bigint {
    const first = this.frames[0]!.frame;
    return first.case === 'registered' ? first.value.sysid : 0n;
  }
  last(): string {
    return this.got.at(-1) ?? '';
  }
}

function shown({ frame: f }: Frame): string {
  switch (f.case) {
    case 'message': {
      const { reply, msgid, from, status } = f.value;
      return reply
        ? `reply ${msgid} ${status?.code} ${status?.reason}`.trim()
        : `ask ${msgid} from ${from?.name}`;
    }
    case 'messageAbort':
      return `abort ${f.value.msgid} from ${f.value.from?.name}`;
    case 'circuitData':
      return `data ${f.value.circuit} ${f.value.data.length}`;
    case 'circuitWindow':
      return `window ${f.value.circuit} ${f.value.takenBytes}`;
    case 'circuitClose':
      return `close ${f.value.circuit}${f.value.half ? ' half' : ''} ${f.value.status?.code ?? ''} ${f.value.status?.reason ?? ''}`.trim();
    case 'circuitOpen':
      return `open ${f.value.circuit} from ${f.value.from?.name}`;
    case 'circuitOpened':
      return `opened ${f.value.circuit}`;
    default:
      return f.case ?? '';
  }
}

const newRouter = () => new Router({ number: 7 });

describe('messages', () => {
  it('are given up once, by who asked; the answer comes as ever', () => {
    const router = newRouter();
    const a = new Peer(router, 'a');
    const b = new Peer(router, 'b');
    const other = new Peer(router, 'other');
    a.asks({ name: 'b' }, 7n);
    for (const from of [other, a, a]) from.sends({ case: 'messageAbort', value: { msgid: 7n } });
    a.sends({ case: 'messageAbort', value: { msgid: 8n, from: { sysid: other.sysid } } });
    expect(b.got.slice(1)).toEqual(['ask 7 from a', 'abort 7 from a']);
    const reply = { to: { sysid: a.sysid }, msgid: 7n, proto: '/p', reply: true, status: { code: 1 } };
    b.sends({ case: 'message', value: reply });
    expect(a.last()).toBe('reply 7 1');
    a.sends({ case: 'messageAbort', value: { msgid: 7n } });
    expect(b.got.length).toBe(3);
    expect(router.idle).toBe(true);
  });

  it('go by name or sysid, and the reply finds its way back', () => {
    const router = newRouter();
    const a = new Peer(router, 'a');
    const b = new Peer(router, 'b');
    a.asks({ name: 'b' }, 7n);
    expect(b.last()).toBe('ask 7 from a');
    b.answers();
    expect(a.last()).toBe('reply 7 0');
    a.asks({ sysid: b.sysid, session: 1n }, 7n);
    b.answers();
    expect(a.got).toEqual(['registered', 'reply 7 0', 'reply 7 0']);
  });

  it('are refused with the reason', () => {
    const router = newRouter();
    const a = new Peer(router, 'a');
    const b = new Peer(router, 'b', 5n);
    a.asks({ name: 'c' }, 1n);
    expect(a.last()).toBe(`reply 1 ${Code.NotFound} no endpoint "c"; registered: a, b`);
    a.asks({ sysid: 99n }, 1n);
    expect(a.last()).toContain('no endpoint with sysid 99');
    a.asks({ name: 'b', session: 4n }, 1n);
    expect(a.last()).toBe(`reply 1 ${Code.Aborted} session 4 of b is over; 5 runs`);
    a.asks({ name: 'b' }, 1n, { hopLimit: 0 });
    expect(a.last()).toContain(`reply 1 ${Code.FailedPrecondition}`);
    a.asks({}, 1n);
    expect(a.last()).toContain(`reply 1 ${Code.InvalidArgument} no address`);
    a.asks({ name: 'b' }, 1n, { head: new Uint8Array(4097) });
    expect(a.last()).toContain(`reply 1 ${Code.InvalidArgument}`);
    b.waitingBytes = 65 * 1024 * 1024;
    a.asks({ name: 'b' }, 1n);
    expect(a.last()).toContain(`reply 1 ${Code.ResourceExhausted} b does not keep up`);
    b.waitingBytes = 0;
    a.asks({ name: 'b' }, 1n);
    a.asks({ name: 'b' }, 1n);
    expect(a.last()).toContain('msgid 1 is in use');
    expect(b.got).toEqual(['registered', 'ask 1 from a']);
  });

  it('whoever waits for an endpoint that goes away is told, once', () => {
    const router = newRouter();
    const a = new Peer(router, '');
    const b = new Peer(router, 'b');
    a.asks({ name: 'b' }, 1n);
    a.asks({ name: 'b' }, 2n);
    b.answers();
    router.disconnected(b, 10);
    expect(a.got.slice(1)).toEqual(['reply 2 0', `reply 1 ${Code.Unavailable} b went away`]);
    a.asks({ name: 'b' }, 3n);
    expect(a.last()).toBe(`reply 3 ${Code.Unavailable} b is not connected`);
    expect(router.endpoints().map((e) => [e.name, e.connection !== undefined])).toEqual([
      ['', true],
      ['b', false],
    ]);
    router.tick(11 * 60_000);
    expect(router.endpoints()).toHaveLength(1);
  });

  it('a request that nobody answers expires; a late, forged or repeated reply goes nowhere', () => {
    const router = newRouter();
    const a = new Peer(router, 'a');
    const b = new Peer(router, 'b');
    const c = new Peer(router, 'c');
    a.asks({ name: 'b' }, 1n, { deadlineMs: 100 }, 0);
    c.sends({ case: 'message', value: { to: { sysid: a.sysid }, msgid: 1n, reply: true } });
    expect(a.got).toEqual(['registered']);
    router.tick(50);
    expect(a.got).toEqual(['registered']);
    router.tick(100);
    expect(a.last()).toContain(`reply 1 ${Code.DeadlineExceeded} b did not answer within`);
    b.answers();
    expect(a.got).toHaveLength(2);
  });
});

describe('endpoints', () => {
  it('a later start takes the name and keeps the sysid; an earlier one is turned away', () => {
    const router = newRouter();
    const first = new Peer(router, 'b', 10n);
    const second = new Peer(router, 'b', 11n);
    expect(first.ended?.code).toBe(Code.Aborted);
    expect(second.sysid).toBe(first.sysid);
    router.disconnected(first, 1);
    const third = new Peer(router, 'b', 9n);
    expect(third.ended?.message).toContain('ABORTED: a later start of b');
    const a = new Peer(router, 'a');
    a.asks({ name: 'b' }, 1n);
    expect(second.last()).toBe('ask 1 from a');
  });

  it('must register first, well, and once', () => {
    const router = newRouter();
    for (const [name, kind] of [
      ['', EndpointKind.PMAP],
      ['a b', EndpointKind.PMAP],
    ] as const) {
      expect(new Peer(router, name, 1n, kind).ended?.code).toBe(Code.InvalidArgument);
    }
    const a = new Peer(router, 'a');
    a.sends({ case: 'register', value: { name: 'z' } });
    expect(a.ended?.code).toBe(Code.InvalidArgument);
    expect(router.endpoints().find((e) => e.name === 'a')?.connection).toBeUndefined();
  });

  it('one that does not read is cut off', () => {
    const router = newRouter();
    const a = new Peer(router, 'a');
    a.waitingBytes = 300 * 1024 * 1024;
    router.tick(1);
    expect(a.ended?.message).toBe('RESOURCE_EXHAUSTED: a does not read');
  });
});

describe('the end of a router', () => {
  it('asks all to go elsewhere, refuses what is new, and lets the rest end', () => {
    const router = newRouter();
    const a = new Peer(router, 'a');
    const b = new Peer(router, 'b');
    a.sends({ case: 'circuitOpen', value: { circuit: 3n, to: { name: 'b' }, hopLimit: 1 } });
    router.drain();
    expect([a.last(), b.last()]).toEqual(['goAway', 'goAway']);
    const late = new Peer(router, '');
    expect(late.ended?.message).toBe('UNAVAILABLE: this router stops; another one takes what is new');
    expect(late.ended?.detail('google.rpc.RetryInfo')).toBeDefined();
    a.sends({ case: 'circuitOpen', value: { circuit: 5n, to: { name: 'b' }, hopLimit: 1 } });
    expect(a.last()).toBe(`close 5 ${Code.Unavailable} this router stops; another one takes what is new`);
    expect(router.idle).toBe(false);
    a.sends({ case: 'circuitClose', value: { circuit: 3n, status: { code: 0 } } });
    expect(router.idle).toBe(true);
    a.asks({ name: 'b' }, 1n);
    expect([b.last(), router.idle]).toEqual(['ask 1 from a', false]);
    b.answers();
    expect([a.last(), router.idle]).toEqual(['reply 1 0', true]);
  });

  it('tells whoever still waits that it is the router', () => {
    const router = newRouter();
    const a = new Peer(router, 'a');
    const b = new Peer(router, 'b');
    a.asks({ name: 'b' }, 1n);
    b.sends({ case: 'circuitOpen', value: { circuit: 3n, to: { name: 'a' }, hopLimit: 1 } });
    router.breakAll(new RpcError(Code.Unavailable, 'the router stops'));
    expect(a.got).toContain(`reply 1 ${Code.Unavailable} the router stops`);
    expect(b.last()).toBe(`close 3 ${Code.Unavailable} the router stops`);
    expect(router.idle).toBe(true);
  });
});

it('a router says which it is, and that it started lately; its number is in every identity', () => {
  const router = new Router({ number: 0xffff_ffff, settledAtMs: 100 });
  const registered = (nowMs: number) => {
    const peer = new Peer(router, '', 1n, EndpointKind.CLIENT, nowMs);
    const first = peer.frames[0]!.frame;
    return first.case === 'registered' ? first.value : undefined;
  };
  expect(registered(99)).toMatchObject({
    sysid: 0xffff_ffff_0000_0001n,
    router: 0xffff_ffff,
    settling: true,
  });
  expect(registered(100)).toMatchObject({ sysid: 0xffff_ffff_0000_0002n, settling: false });
});

it('a person has so many clients, and as many again when some are gone', () => {
  const router = newRouter();
  const as = (name: string) => parseIdentity(`odonata://test/user/${name}`)!;
  const attach = (name: string) => new Peer(router, '', 1n, EndpointKind.CLIENT, 0, as(name));
  const clients = Array.from({ length: CLIENTS_LIMIT }, () => attach('alice'));
  expect(clients.every(({ ended }) => ended === undefined)).toBe(true);
  expect(attach('alice').ended?.message).toBe(
    `RESOURCE_EXHAUSTED: user alice has ${CLIENTS_LIMIT} clients connected, the most of one person`,
  );
  expect(attach('bob').ended).toBeUndefined();
  router.disconnected(clients[0]!, 1);
  expect(attach('alice').ended).toBeUndefined();
});

describe('circuits', () => {
  const connected = () => {
    const router = newRouter();
    const a = new Peer(router, 'a');
    const b = new Peer(router, 'b');
    a.sends({ case: 'circuitOpen', value: { circuit: 3n, to: { name: 'b' }, hopLimit: 1 } });
    return { router, a, b };
  };
  const data = (circuit: bigint, bytes: number) =>
    ({
      case: 'circuitData',
      value: create(CircuitDataSchema, { circuit, data: new Uint8Array(bytes) }),
    }) as const;

  it('carry frames both ways, each end in its own numbering', () => {
    const { a, b } = connected();
    b.sends({ case: 'circuitOpened', value: { circuit: 2n } });
    a.sends(data(3n, 10));
    a.sends({ case: 'circuitClose', value: { circuit: 3n, half: true } });
    b.sends(data(2n, 20));
    b.sends({ case: 'circuitWindow', value: { circuit: 2n, takenBytes: 64 } });
    b.sends({ case: 'circuitClose', value: { circuit: 2n, status: { code: 0 } } });
    b.sends(data(2n, 5));
    expect(b.got).toEqual(['registered', 'open 2 from a', 'data 2 10', 'close 2 half']);
    expect(a.got).toEqual(['registered', 'opened 3', 'data 3 20', 'window 3 64', 'close 3 0']);
  });

  it('a sender that ignores its window loses the circuit, not more', () => {
    const { a, b } = connected();
    a.sends(data(3n, CIRCUIT_WINDOW_BYTES - 1));
    a.sends(data(3n, 1000)); // the overdraft of one message
    expect(a.got).toHaveLength(1);
    a.sends(data(3n, 1));
    expect(a.last()).toBe(`close 3 ${Code.ResourceExhausted} more data than the window of the circuit`);
    expect(b.last()).toContain(`close 2 ${Code.ResourceExhausted}`);
    expect(a.ended).toBeUndefined();
  });

  it('a reader that takes what it was not given loses the circuit: what waits for it stays within the window', () => {
    const { a, b } = connected();
    b.deaf = true; // Its stream takes nothing: all of it waits here.
    a.sends(data(3n, 1_000));
    b.sends({ case: 'circuitWindow', value: { circuit: 2n, takenBytes: 1_000 } });
    const what = `${Code.InvalidArgument} its reader takes 1000 bytes, and was given fewer`;
    expect(a.last()).toBe(`close 3 ${what}`);
    expect(b.last()).toBe(`close 2 ${what}`);
    expect([a.ended, b.ended]).toEqual([undefined, undefined]);
  });

  it('a reader that takes more than was ever sent loses the circuit', () => {
    const { a, b } = connected();
    a.sends(data(3n, 1_000));
    b.sends({ case: 'circuitWindow', value: { circuit: 2n, takenBytes: 2 ** 32 - 1 } });
    expect(a.last()).toContain(`close 3 ${Code.InvalidArgument}`);
  });

  it('are refused and closed with the reason', () => {
    const { router, a, b } = connected();
    a.sends({ case: 'circuitOpen', value: { circuit: 4n, to: { name: 'b' }, hopLimit: 1 } });
    expect(a.last()).toContain(`close 4 ${Code.InvalidArgument}`);
    a.sends({ case: 'circuitOpen', value: { circuit: 5n, to: { name: 'x' }, hopLimit: 1 } });
    expect(a.last()).toContain(`close 5 ${Code.NotFound} no endpoint "x"`);
    a.sends({ case: 'circuitClose', value: { circuit: 3n, half: true } });
    a.sends(data(3n, 1));
    expect(a.last()).toContain(`close 3 ${Code.InvalidArgument}`);
    a.sends({ case: 'circuitOpen', value: { circuit: 7n, to: { name: 'b' }, hopLimit: 1 } });
    router.disconnected(b, 1);
    expect(a.last()).toBe(`close 7 ${Code.Unavailable} b went away`);
  });
});

it('the router survives frames of any order', () => {
  const router = newRouter();
  const peers = [new Peer(router, 'a'), new Peer(router, 'b'), new Peer(router, '')];
  let seed = 7;
  const random = (n: number) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed % n;
  };
  for (let i = 0; i < 20_000; i++) {
    const peer = peers[random(3)]!;
    const circuit = BigInt(random(12));
    const to = { name: ['a', 'b', 'c'][random(3)]! };
    const value = create(MessageSchema, { to, msgid: circuit, hopLimit: random(3), reply: random(2) === 0 });
    value.to!.sysid = BigInt(random(2)) * ((7n << 32n) + BigInt(random(5)));
    switch (random(7)) {
      case 0:
        peer.sends({ case: 'message', value }, i);
        break;
      case 1:
        peer.sends({ case: 'circuitOpen', value: { circuit, to, hopLimit: 2 } });
        break;
      case 2:
        peer.sends({ case: 'circuitData', value: { circuit, data: new Uint8Array(random(100)) } });
        break;
      case 3:
        peer.sends({ case: 'circuitWindow', value: { circuit, takenBytes: random(10_000) } });
        break;
      case 4:
        peer.sends({ case: 'circuitClose', value: { circuit, half: random(2) === 0 } });
        break;
      case 5:
        if (random(50) === 0) {
          router.disconnected(peer, i);
          peers[peers.indexOf(peer)] = new Peer(router, ['a', 'b', ''][peers.indexOf(peer)]!, BigInt(i));
        }
        break;
      case 6:
        router.tick(i);
    }
  }
  for (const peer of peers) router.disconnected(peer, 20_000);
  for (const { owed, asked, legs } of router.endpoints()) {
    expect([owed.size, asked.size, legs.size]).toEqual([0, 0, 0]);
  }
});
