// Circuits that go on over another router when theirs dies: the ends as they are in libs/rpc, two routers as they are here, and between
// them lines that take their time. Routers die with what is under way, at any time.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Role } from '@odonata/proto/auth/v1/access';
import { CircuitOpenSchema, EndpointKind, type Frame, FrameSchema } from '@odonata/proto/syslink/v1/syslink';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { ANYONE } from '@odonata/rpc/identity/identity.ts';
import { Circuit } from '@odonata/rpc/syslink/circuit.ts';
import { CIRCUIT_WINDOW_BYTES, frame } from '@odonata/rpc/syslink/frame.ts';
import { openLasting } from '@odonata/rpc/syslink/lasting-calls.ts';
import { LastingCircuits } from '@odonata/rpc/syslink/lasting-served.ts';
import type { Line } from '@odonata/rpc/syslink/line.ts';
import { LineCircuits } from '@odonata/rpc/syslink/line-circuits.ts';
import { noResumptions } from '@odonata/rpc/syslink/resumptions.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Connection } from './registry.ts';
import { Router } from './router.ts';

const OVER = new RpcError(Code.Unavailable, 'the line broke');
const copy = (sent: Frame): Frame => fromBinary(FrameSchema, toBinary(FrameSchema, sent));

/** The line of an end to a router: frames wait in it until they are delivered, in order each way. */
class SlowLine {
  readonly circuits: LineCircuits;
  readonly #up: Frame[] = [];
  readonly #down: { frame: Frame; sent: (() => void) | undefined }[] = [];
  readonly #router: Router;
  readonly #connection: Connection;
  readonly #opens: (frame: Frame, line: SlowLine) => void;
  dead = false;

  constructor(router: Router, name: string, session: bigint, opens: (frame: Frame, line: SlowLine) => void) {
    this.#router = router;
    this.#opens = opens;
    this.circuits = new LineCircuits({
      send: (sent, taken) => {
        if (!this.dead) this.#up.push(copy(sent));
        taken?.();
      },
      forgot: () => {},
    });
    this.circuits.windowBytes = CIRCUIT_WINDOW_BYTES;
    this.#connection = {
      caller: ANYONE,
      waitingBytes: 0,
      send: (sent, taken) => {
        if (!this.dead) this.#down.push({ frame: copy(sent), sent: taken });
      },
      end: (error) => {
        throw error;
      },
    };
    const value = { name, kind: EndpointKind.VKERNEL, session, wire: wireSpoken() };
    router.receive(this.#connection, frame({ case: 'register', value }), 0);
    this.#down.length = 0;
  }

  /** @returns false: nothing waits */
  deliver(up: boolean): boolean {
    if (this.dead) return false;
    if (up) {
      const next = this.#up.shift();
      if (next !== undefined) this.#router.receive(this.#connection, next, 0);
      return next !== undefined;
    }
    const next = this.#down.shift();
    if (next === undefined) return false;
    next.sent?.();
    const { frame: got } = next.frame;
    if (got.case === 'circuitOpen') this.#opens(next.frame, this);
    else if (
      got.case === 'circuitOpened' ||
      got.case === 'circuitData' ||
      got.case === 'circuitWindow' ||
      got.case === 'circuitClose'
    )
      this.circuits.received(got);
    return true;
  }

  /** Its router is dead. @param hears this end knows */
  die(): void {
    this.dead = true;
    this.#up.length = 0;
    this.#down.length = 0;
    this.circuits.lost(OVER);
  }

  /** The stream broke: the router knows, and says so to the other end. */
  break(): void {
    this.#router.disconnected(this.#connection, 0);
    this.die();
  }
}

interface End {
  circuit: Circuit | undefined;
  readonly written: number[];
  readonly got: number[];
  reads: AsyncGenerator<Uint8Array> | undefined;
  /** It has room. */
  free: boolean;
  wants: number;
  ended: unknown;
}

const end = (): End => ({
  ...{ circuit: undefined, written: [], got: [], reads: undefined, free: true, wants: 0, ended: undefined },
});

class World {
  readonly near = end();
  readonly far = end();
  readonly lasting = new LastingCircuits();
  #last = 0;
  rows: { near: SlowLine; far: SlowLine }[] = [];

  constructor() {
    this.#addRouter();
    this.#addRouter();
    const line = (slow: SlowLine) =>
      ({
        openCircuit: slow.circuits.open.bind(slow.circuits),
        reopen: slow.circuits.reopen.bind(slow.circuits),
      }) as unknown as Line;
    const all = () => this.rows.filter(({ near }) => !near.dead).map(({ near }) => line(near));
    const lines = {
      line: () => all()[0]!,
      all,
      ready: async () => {},
      resumptions: noResumptions(),
      closing: new AbortController().signal,
    };
    this.near.circuit = openLasting(lines, { to: { name: 'far' }, proto: '/p' });
    this.begin(this.near);
    this.write(this.near, 10);
    this.all();
  }

  #addRouter(): void {
    const number = this.rows.length + 1 + this.#last * 10;
    this.#last += 1;
    const router = new Router({ number });
    const never = () => {
      throw new Error('nobody calls the caller');
    };
    const far = new SlowLine(router, 'far', 1n, ({ frame: { value } }, line) => {
      const circuit = line.circuits.opens(value as never, this.lasting);
      if (circuit === undefined) return;
      this.lasting.add(value as never, circuit);
      this.far.circuit = circuit;
      this.begin(this.far);
    });
    this.rows.push({ near: new SlowLine(router, 'near', 1n, never), far });
  }

  begin(which: End): void {
    which.reads = which.circuit!.messages();
    void (async () => {
      for (;;) {
        while (which.wants === 0) await new Promise((resolve) => setImmediate(resolve));
        const next = await which
          .reads!.next()
          .catch((error: unknown) => ({ done: true as const, value: error }));
        if (next.done) {
          which.ended = next.value ?? 'end';
          return;
        }
        which.wants -= 1;
        which.got.push(next.value.length);
      }
    })();
  }

  write(which: End, bytes: number): void {
    if (!which.free || which.circuit === undefined) return;
    const full = which.circuit.write(new Uint8Array(bytes));
    which.written.push(bytes);
    if (full === undefined) return;
    which.free = false;
    void full.then(() => (which.free = true));
  }

  deliver(row: number, near: boolean, up: boolean): boolean {
    const lines = this.rows[row % this.rows.length]!;
    return (near ? lines.near : lines.far).deliver(up);
  }

  all(): void {
    const every = [0, 1].flatMap((row) => [true, false].map((near) => ({ row, near })));
    while (every.some(({ row, near }) => this.deliver(row, near, true) || this.deliver(row, near, false)));
  }

  /** A router dies, and starts again. */
  kill(row: number, breaks: 'near' | 'far' | 'both'): void {
    const at = row % this.rows.length;
    const { near, far } = this.rows[at]!;
    if (breaks === 'both') {
      near.die();
      far.die();
    } else if (breaks === 'near') near.break();
    else far.break();
    if (breaks !== 'both') {
      // The line of the other end holds; a new router takes its place in this world all the same, once it has said what it knows.
      while (near.deliver(false) || far.deliver(false));
      if (!near.dead) near.die();
      if (!far.dead) far.die();
    }
    this.rows.splice(at, 1);
    this.#addRouter();
  }
}

const ends = fc.constantFrom('near' as const, 'far' as const);
const op = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      end: ends,
      bytes: fc.constantFrom(1, 3_000, 300_000, 600_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const), end: ends }) },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      row: fc.nat(1),
      near: fc.boolean(),
      up: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('kill' as const),
      row: fc.nat(1),
      breaks: fc.constantFrom('near' as const, 'far' as const, 'both' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('turn' as const, 'all' as const) }) },
);

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function settled(world: World, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 4_000;
  while (!holds() && performance.now() < endMs) {
    world.near.wants = world.far.wants = 1_000;
    world.all();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

describe('a circuit that lasts', () => {
  it('brings everything, once and in order, over whatever routers die', { timeout: 120_000 }, async () => {
    const runs = Number(process.env.ODONATA_LONG ? 2_000 : 150);
    const property = fc.asyncProperty(fc.array(op, { minLength: 20, maxLength: 120 }), async (ops) => {
      const world = new World();
      for (const each of ops) {
        switch (each.do) {
          case 'write':
            world.write(world[each.end], each.bytes);
            break;
          case 'read':
            world[each.end].wants += 1;
            break;
          case 'deliver':
            world.deliver(each.row, each.near, each.up);
            break;
          case 'kill':
            world.kill(each.row, each.breaks);
            break;
          case 'all':
            world.all();
            break;
          case 'turn':
            await turn();
        }
      }
      const { near, far } = world;
      // Whoever waits for room gets it, also where the word of it was lost.
      await settled(world, () => near.free && far.free);
      expect([near.free, far.free]).toEqual([true, true]);
      for (const each of [near, far]) {
        world.write(each, 7);
        each.circuit!.half();
      }
      await settled(world, () => near.ended !== undefined && far.ended !== undefined);
      expect({ got: far.got, ended: far.ended }).toEqual({ got: near.written, ended: 'end' });
      expect({ got: near.got, ended: near.ended }).toEqual({ got: far.written, ended: 'end' });
    });
    await fc.assert(property, { numRuns: runs });
  });

  it('is given back to whoever opened it, by a later way only, and to nobody else', () => {
    const lasting = new LastingCircuits();
    const open = (more: object = {}) =>
      create(CircuitOpenSchema, {
        ...{ circuit: 1n, proto: '/p', lasting: new Uint8Array(16).fill(7) },
        ...{ from: { name: '', session: 5n }, caller: { role: Role.USER, name: 'alice' } },
        ...more,
      });
    const resumed = (attempt: number) => ({ resumed: { attempt } });
    const way = { number: 1n, send: () => {}, leave: () => {} };
    const circuit = new Circuit(way, CIRCUIT_WINDOW_BYTES, { lasting: true });
    lasting.add(open(), circuit);
    for (const other of [
      { lasting: new Uint8Array(16).fill(8) },
      { caller: { role: Role.USER, name: 'bob' } },
      { caller: { role: Role.ADMIN, name: 'alice' } },
      { from: { name: '', session: 6n } },
      { proto: '/q' },
    ])
      expect(lasting.find(open({ ...resumed(1), ...other }))).toBeUndefined();
    expect(lasting.find(open(resumed(2)))).toBe(circuit);
    expect([1, 2].map((attempt) => lasting.find(open(resumed(attempt))))).toEqual([undefined, undefined]);
    // It is over: nobody remembers it.
    circuit.closed(undefined);
    lasting.ended(open());
    expect(lasting.find(open(resumed(3)))).toBeUndefined();
  });

  it('bounds what waits for callers that do not come', () => {
    const lasting = new LastingCircuits();
    const way = { number: 1n, send: () => {}, leave: () => {} };
    const circuits = Array.from({ length: 300 }, (_, i) => {
      const circuit = new Circuit(way, CIRCUIT_WINDOW_BYTES, { lasting: true });
      const token = new Uint8Array(16);
      new DataView(token.buffer).setUint32(0, i);
      lasting.add(create(CircuitOpenSchema, { circuit: 1n, proto: '/p', lasting: token }), circuit);
      return circuit;
    });
    for (const circuit of circuits) circuit.lost(OVER);
    expect(circuits.filter(({ over }) => over.fired)).toHaveLength(300 - 256);
    lasting.close(OVER);
    expect(circuits.every(({ over }) => over.fired)).toBe(true);
  });

  it('ends where the other end counts what was never sent, or takes back what it had', () => {
    const way = { number: 1n, send: () => {}, leave: () => {} };
    const circuit = new Circuit(way, CIRCUIT_WINDOW_BYTES, { lasting: true });
    for (let i = 0; i < 3; i++) circuit.write(new Uint8Array(100));
    circuit.begin();
    for (const theirs of [
      { received: 4, takenBytes: 0 },
      { received: 3, takenBytes: 301 },
      { received: 1, takenBytes: 101 },
    ])
      expect(() => circuit.goOn(way, theirs)).toThrow('lost count');
    circuit.goOn(way, { received: 2, takenBytes: 200 });
    expect(() => circuit.goOn(way, { received: 1, takenBytes: 200 })).toThrow('lost count');
    expect(() => circuit.goOn(way, { received: 2, takenBytes: 100 })).toThrow('lost count');
  });

  it('is not over where its opener gives up a way that the other end has taken', async () => {
    const world = new World();
    world.all();
    const { near, far } = world;
    const [slow, next] = world.rows.map((row) => row.near);
    // The first way breaks; the next one is taken at the other end, and its opener does not wait for that to be told.
    slow!.break();
    for (let i = 0; i < 8; i++) {
      next!.deliver(true);
      world.rows[1]!.far.deliver(false);
      world.rows[1]!.far.deliver(true);
      world.rows[0]!.far.deliver(false);
    }
    await new Promise((resolve) => setTimeout(resolve, 2_700));
    await settled(world, () => near.free && far.free);
    world.write(near, 5);
    world.write(far, 6);
    for (const each of [near, far]) each.circuit!.half();
    await settled(world, () => near.ended !== undefined && far.ended !== undefined);
    expect([far.got, far.ended, near.got, near.ended]).toEqual([[10, 5], 'end', [6], 'end']);
  });
});
