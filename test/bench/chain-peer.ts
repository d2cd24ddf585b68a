// A member of a chain of plain grpc-js: what comes by one hop goes on by the next, and nothing else is done.
//
//   node chain-peer.ts MEMBER_JSON     prints `listens`; the one that begins goes round when a line comes, prints `warm`, and round again
//                                      at the next line; then the ns of each round as a JSON array. Ends with its standard input
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import * as grpc from '@grpc/grpc-js';
import { openChannel, SERVER_OPTIONS } from '@odonata/rpc/channel.ts';

/** A message to other members. */
export interface Hop {
  readonly to: readonly string[];
  readonly number: number;
  readonly bytes: number;
}

/** What follows once so many messages came by a hop; null: the round is over. */
export interface Next {
  readonly awaited: number;
  readonly hop: Hop | null;
}

export interface Member {
  readonly address: string;
  /** By the number of the hop by which they come. */
  readonly after: Readonly<Record<number, Next>>;
  /** Of the member that begins. */
  readonly first?: Hop;
  /** What it computes before each round that counts; 0: the next one begins as soon as one is over. */
  readonly computeUs: number;
  readonly warmUp: number;
  readonly count: number;
}

const same = (bytes: Buffer): Buffer => bytes;
const pathOf = (number: number): string => `/bench.Chain/Hop${number}`;

class Sender {
  readonly #calls: grpc.ClientDuplexStream<Buffer, Buffer>[];
  readonly #message: Buffer;

  constructor({ to, number, bytes }: Hop) {
    this.#calls = to.map((each) => {
      const call = openChannel(each).makeBidiStreamRequest(pathOf(number), same, same);
      return call.on('data', () => {}).on('error', () => {});
    });
    this.#message = Buffer.alloc(bytes, 1);
  }

  send(): void {
    for (const call of this.#calls) call.write(this.#message);
  }
}

const { address, after, first, computeUs, warmUp, count }: Member = JSON.parse(process.argv[2]!);
let roundIsOver: () => void = () => {};
const method = { requestStream: true, responseStream: true } as const;
const bytes = {
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};
const definition: Record<string, grpc.MethodDefinition<Buffer, Buffer>> = {};
const serve: Record<string, (call: grpc.ServerDuplexStream<Buffer, Buffer>) => void> = {};
for (const [number, { awaited, hop }] of Object.entries(after)) {
  const name = `hop${number}`;
  definition[name] = { path: pathOf(Number(number)), ...method, ...bytes };
  // Opened when the first message comes: by then all listen.
  let sender: Sender | undefined;
  let came = 0;
  serve[name] = (call) => {
    call.on('data', () => {
      if (++came < awaited) return;
      came = 0;
      if (hop === null) return roundIsOver();
      sender ??= new Sender(hop);
      sender.send();
    });
    call.on('end', () => call.end());
  };
}
const server = new grpc.Server(SERVER_OPTIONS);
server.addService(definition, serve);
server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  console.log('listens');
});
const lines = createInterface(process.stdin);
lines.on('close', () => process.exit(0));

let computed = 0;

function compute(us: number): void {
  for (const until = performance.now() + us / 1000; performance.now() < until; )
    for (let i = 0; i < 10_000; i++) computed = (Math.imul(computed, 1664525) + 1013904223) | 0;
}

async function rounds(sender: Sender, count: number, computeUs: number): Promise<number[]> {
  const samplesNs: number[] = [];
  await new Promise<void>((resolve) => {
    let sentNs = 0n;
    const begin = (): void => {
      if (computeUs > 0) compute(computeUs);
      sentNs = process.hrtime.bigint();
      sender.send();
    };
    roundIsOver = () => {
      samplesNs.push(Number(process.hrtime.bigint() - sentNs));
      if (samplesNs.length === count) resolve();
      // What it has sent goes out first.
      else if (computeUs > 0) setImmediate(begin);
      else begin();
    };
    begin();
  });
  return samplesNs;
}

if (first !== undefined) {
  await once(lines, 'line');
  const sender = new Sender(first);
  await rounds(sender, warmUp, 0);
  console.log('warm');
  await once(lines, 'line');
  const samplesNs = await rounds(sender, count, computeUs);
  assert.equal(samplesNs.length, count);
  console.log(JSON.stringify(samplesNs));
}
