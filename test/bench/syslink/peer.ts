// Processes at the ends of what is measured: endpoints as programs make them, by libs/rpc/syslink.
//
//   node peer.ts serve ADDRESS                     answers at a router, as "echo"; ends with its standard input
//   node peer.ts direct                            the same without a router: whoever attaches is answered by it. Prints its address
//   node peer.ts ask ADDRESS COUNT                 prints the round trips of requests, one after another, as a JSON array of ns
//   node peer.ts many ADDRESS COUNT UNDER_WAY      the same with many under way; prints the ns that all of them took
//   node peer.ts stream ADDRESS BYTES PIECE_BYTES  prints the ns from a first piece to the last one, over a circuit
//   node peer.ts stalled ADDRESS COUNT CIRCUITS    as ask, over a circuit, beside so many that nobody reads, which are full
//   node peer.ts open ADDRESS CIRCUITS             opens so many, and keeps them until its standard input ends
//   node peer.ts crowd ADDRESS COUNT               so many endpoints that answer, e0, e1, ...; ends with its standard input
//   node peer.ts round ADDRESS COUNT ENDPOINTS     asks those, one after another; prints the ns that it took
import '@odonata/rpc/external-memory.ts';
import { once } from 'node:events';
import { EndpointKind, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { PeerService } from '@odonata/proto/vkernel/v1/peer';
import { delay } from '@odonata/rpc/backoff.ts';
import { openChannel, openStream } from '@odonata/rpc/client.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { createRpcServer, raw } from '@odonata/rpc/server.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { CIRCUIT_WINDOW_BYTES, frame } from '@odonata/rpc/syslink/frame.ts';
import { openedFrames, servedFrames } from '@odonata/rpc/syslink/frames/frame-stream.ts';
import { Outbox } from '@odonata/rpc/syslink/outbox.ts';
import { ServedServices } from '@odonata/rpc/syslink/served.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { trips, untilInputEnds, WARM_UP } from './trips.ts';

const ECHO = 'echo';
const CIRCUITS_OF_ONE = 1_000;
const STREAMS_OF_ONE = 1_000;
const log = silentLog();
/** Some 64 bytes, as the raw echo's. */
const ASKED = {
  asker: { node: 1, user: 'somebody', vkernel: 'somebody/default', groups: ['a group of them'] },
};
const ANSWERED = { relatives: { parent: 100_001n, group: 100_002n, session: 100_003n } };

type Event = { case: 'data'; value: Uint8Array } | { case: 'taken'; value: number };

/** Answers requests; on a circuit sends back what comes, or as much as `taken` says, in pieces of the size of the data before it. */
const handlers = {
  identify: () => ANSWERED,
  async *connect(requests: AsyncIterable<{ event: { case?: string; value?: unknown } }>) {
    let piece: Uint8Array = new Uint8Array(1);
    for await (const { event } of requests) {
      if (event.case === 'data') {
        piece = event.value as Uint8Array;
        yield { event: { case: 'data' as const, value: piece } };
      } else if (event.case === 'taken') {
        for (let left = event.value as number; left > 0; left--)
          yield { event: { case: 'data' as const, value: piece } };
      }
    }
  },
};

function attached(address: string, name = ''): SyslinkEndpoint {
  const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.VKERNEL;
  return attachSyslink({ address, name, kind, log });
}

async function serve(address: string): Promise<void> {
  const endpoint = attached(address, ECHO).serve(PeerService, handlers);
  await endpoint.ready({ deadlineMs: 10_000 });
  await untilInputEnds('ready');
}

async function direct(): Promise<void> {
  const services = new ServedServices({ log }, undefined);
  services.add(PeerService, handlers);
  const server = createRpcServer({ name: 'direct', log, folder: undefined }).add(RouterService, {
    attach: raw((call) => {
      const stream = servedFrames(call, (frames) => {
        for (const { frame: received } of frames) {
          if (received.case === 'message') void services.message(received.value, origin);
          if (received.case !== 'register') continue;
          const value = {
            sysid: 1n,
            circuitWindowBytes: CIRCUIT_WINDOW_BYTES,
            router: 1,
            wire: wireSpoken(),
          };
          outbox.send(frame({ case: 'registered', value }));
        }
      });
      const outbox = new Outbox(stream);
      const origin = { reply: outbox.send.bind(outbox) };
      call.on('end', () => call.end());
    }),
  });
  await untilInputEnds(await server.listen('127.0.0.1:0'));
}

async function withClient<T>(address: string, use: (client: SyslinkEndpoint) => Promise<T>): Promise<void> {
  const endpoint = attached(address);
  await endpoint.ready({ deadlineMs: 10_000 });
  console.log(JSON.stringify(await use(endpoint)));
  endpoint.close();
}

/** Says when it is warm, waits for a word, and tells how long so many took from then on, in ns. */
async function timedWarm(run: (count: number) => Promise<void>, count: number): Promise<number> {
  await run(WARM_UP);
  console.log('warm');
  await once(process.stdin, 'data');
  const beginNs = process.hrtime.bigint();
  await run(count);
  return Number(process.hrtime.bigint() - beginNs);
}

const ask = (address: string, count: number) =>
  withClient(address, (endpoint) => {
    const client = endpoint.client(PeerService, { name: ECHO });
    return trips(count, () => client.identify(ASKED));
  });

const many = (address: string, count: number, underWay: number) =>
  withClient(address, async (endpoint) => {
    const client = endpoint.client(PeerService, { name: ECHO });
    const run = async (all: number): Promise<void> => {
      let left = all;
      const one = async (): Promise<void> => {
        while (left-- > 0) await client.identify(ASKED);
      };
      await Promise.all(Array.from({ length: underWay }, one));
    };
    return await timedWarm(run, count);
  });

/** A circuit by which pieces are asked for, one word after another. */
function circuit(endpoint: SyslinkEndpoint) {
  const asked: Event[] = [];
  let wake: (() => void) | undefined;
  let over = false;
  async function* requests() {
    while (!over) {
      const event = asked.shift();
      if (event !== undefined) yield { event };
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  const answers = endpoint.client(PeerService, { name: ECHO }).connect(requests())[Symbol.asyncIterator]();
  const say = (event: Event): void => {
    asked.push(event);
    wake?.();
  };
  const end = (): void => {
    over = true;
    wake?.();
    void answers.return?.();
  };
  return { answers, say, end };
}

const bytesOf = ({ value }: IteratorResult<{ event: { value?: unknown } }>): number =>
  (value.event.value as Uint8Array).length;

const stream = (address: string, bytes: number, pieceBytes: number) =>
  withClient(address, async (endpoint) => {
    const { answers, say, end } = circuit(endpoint);
    say({ case: 'data', value: new Uint8Array(pieceBytes) });
    await answers.next();
    const bring = async (wanted: number): Promise<void> => {
      say({ case: 'taken', value: Math.ceil(wanted / pieceBytes) });
      for (let left = wanted; left > 0; ) left -= bytesOf(await answers.next());
    };
    await bring(bytes / 8);
    const beginNs = process.hrtime.bigint();
    await bring(bytes);
    const ns = Number(process.hrtime.bigint() - beginNs);
    end();
    return ns;
  });

const stalled = (address: string, count: number, circuits: number) =>
  withClient(address, async (endpoint) => {
    const full = Array.from({ length: circuits }, () => circuit(endpoint));
    for (const { answers, say } of full) {
      say({ case: 'data', value: new Uint8Array(64 * 1024) });
      say({ case: 'taken', value: 1_024 });
      await answers.next();
    }
    await delay(500);
    const { answers, say, end } = circuit(endpoint);
    const value = new Uint8Array(64);
    const ns = await trips(count, () => {
      say({ case: 'data', value });
      return answers.next();
    });
    for (const each of full) each.end();
    end();
    return ns;
  });

async function open(address: string, circuits: number): Promise<void> {
  const endpoints: SyslinkEndpoint[] = [];
  for (let left = circuits; left > 0; left -= CIRCUITS_OF_ONE) {
    const name = `far${left}`;
    const far = attached(address, name).serve(PeerService, handlers);
    const near = attached(address);
    endpoints.push(far, near);
    await Promise.all([far, near].map((each) => each.ready({ deadlineMs: 10_000 })));
    const client = near.client(PeerService, { name });
    const answers = Array.from({ length: Math.min(left, CIRCUITS_OF_ONE) }, () => {
      const requests = (async function* () {
        yield { event: { case: 'data' as const, value: new Uint8Array(64) } };
        await new Promise(() => {});
      })();
      return client.connect(requests)[Symbol.asyncIterator]();
    });
    await Promise.all(answers.map((each) => each.next()));
  }
  await untilInputEnds('open');
}

async function crowd(address: string, count: number): Promise<void> {
  for (let first = 0; first < count; first += STREAMS_OF_ONE) {
    const channel = openChannel(address);
    const registered = Array.from({ length: Math.min(STREAMS_OF_ONE, count - first) }, (_, i) => {
      const stream = openStream(RouterService.method.attach, channel);
      const there = Promise.withResolvers<void>();
      stream.on('error', (error) => there.reject(error));
      const heard = openedFrames(stream, log, {}, (frames) => {
        for (const { frame: received } of frames) {
          if (received.case === 'registered') there.resolve();
          if (received.case !== 'message') continue;
          const { from, msgid, proto, head } = received.value;
          outbox.send(frame({ case: 'message', value: { to: from!, msgid, proto, head, reply: true } }));
        }
      });
      const outbox = new Outbox(heard);
      const value = { name: `e${first + i}`, kind: EndpointKind.VKERNEL, session: 1n, wire: wireSpoken() };
      outbox.send(frame({ case: 'register', value }));
      return there.promise;
    });
    await Promise.all(registered);
  }
  await untilInputEnds('ready');
}

const round = (address: string, count: number, endpoints: number) =>
  withClient(address, async (endpoint) => {
    const client = (i: number) => endpoint.client(PeerService, { name: `e${i % endpoints}` });
    const run = async (all: number): Promise<void> => {
      for (let i = 0; i < all; i++) await client(i * 7).load({});
    };
    return await timedWarm(run, count);
  });

const [role, address = '', ...numbers] = process.argv.slice(2);
const [first = 0, second = 0] = numbers.map(Number);
if (role === 'serve') await serve(address);
else if (role === 'direct') await direct();
else if (role === 'ask') await ask(address, first);
else if (role === 'many') await many(address, first, second);
else if (role === 'stream') await stream(address, first, second);
else if (role === 'stalled') await stalled(address, first, second);
else if (role === 'open') await open(address, first);
else if (role === 'crowd') await crowd(address, first);
else if (role === 'round') await round(address, first, second);
else throw new Error(`no role ${role}`);
process.exit(0);
