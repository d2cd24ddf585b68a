// The other end of the yardsticks: plain grpc-js between two processes, with the channel options of libs/rpc and
// bytes as they are. What Odonata does with a fault or a page is compared with what this does with a message.
//
//   node raw-peer.ts serve ADDRESS                      prints the address that it bound; ends with its standard input
//   node raw-peer.ts pipe ADDRESS                       the same, which passes each message on to ADDRESS, and back: no routing at all
//   node raw-peer.ts echo ADDRESS COUNT REPLY_BYTES     prints the round trips as a JSON array of ns
//   node raw-peer.ts many ADDRESS COUNT UNDER_WAY       the same with many under way: prints `warm`, waits for a line, prints the ns of all
//   node raw-peer.ts stream ADDRESS BYTES MESSAGE_BYTES prints the ns from the request to the last byte
import assert from 'node:assert/strict';
import * as grpc from '@grpc/grpc-js';
import { openChannel, SERVER_OPTIONS } from '@odonata/rpc/channel.ts';

const ECHO = '/bench.Raw/Echo';
const STREAM = '/bench.Raw/Stream';
const REQUEST_BYTES = 64;
/** Round trips that are not counted: the first ones run code that is not compiled yet. */
const WARM_UP = 1000;

const same = (bytes: Buffer): Buffer => bytes;

type Duplex = grpc.ServerDuplexStream<Buffer, Buffer>;
interface Handlers extends Record<'echo' | 'stream', (call: Duplex) => void> {}

/** Each request opens with the size of what it wants. */
const handlers: Handlers = {
  echo: (call) => {
    call.on('data', (request: Buffer) => call.write(Buffer.allocUnsafe(request.readUInt32LE(0))));
    call.on('end', () => call.end());
  },
  stream: (call) => {
    call.on('data', (request: Buffer) => {
      let left = request.readUInt32LE(0);
      const message = Buffer.alloc(request.readUInt32LE(4), 1);
      const fill = (): void => {
        while (left > 0) {
          const part = message.subarray(0, Math.min(left, message.length));
          left -= part.length;
          if (!call.write(part)) return void call.once('drain', fill);
        }
      };
      fill();
    });
    call.on('end', () => call.end());
  },
};

/** What goes to `to` as it comes, and no faster than it is taken. */
function pipes(to: string): Handlers {
  type Stream = Pick<Duplex, 'on' | 'write' | 'pause' | 'resume' | 'once' | 'end'>;
  const pass = (from: Stream, onto: Stream): void => {
    from.on('data', (message: Buffer) => {
      if (onto.write(message)) return;
      from.pause();
      onto.once('drain', () => from.resume());
    });
    from.on('end', () => onto.end());
  };
  const pipe = (path: string) => (call: Duplex) => {
    const there = open(to, path).call as unknown as Stream;
    there.on('error', () => call.end());
    pass(call, there);
    pass(there, call);
  };
  return { echo: pipe(ECHO), stream: pipe(STREAM) };
}

function serve(address: string, handlers: Handlers): void {
  const method = (path: string) => ({
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  });
  const server = new grpc.Server(SERVER_OPTIONS);
  server.addService({ echo: method(ECHO), stream: method(STREAM) }, { ...handlers });
  server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    console.log(
      address.startsWith('unix:') ? address : `${address.slice(0, address.lastIndexOf(':'))}:${port}`,
    );
  });
  process.stdin.on('end', () => process.exit(0)).resume();
}

function open(address: string, path: string) {
  const channel = openChannel(address);
  const call = channel.makeBidiStreamRequest(path, same, same);
  const close = (): void => {
    call.end();
    channel.close();
  };
  return { call, close };
}

function echo(address: string, count: number, replyBytes: number): void {
  const { call, close } = open(address, ECHO);
  const request = Buffer.alloc(REQUEST_BYTES);
  request.writeUInt32LE(replyBytes);
  const samplesNs: number[] = [];
  let sentNs = 0n;
  const send = (): void => {
    sentNs = process.hrtime.bigint();
    call.write(request);
  };
  call.on('data', (reply: Buffer) => {
    samplesNs.push(Number(process.hrtime.bigint() - sentNs));
    assert.equal(reply.length, replyBytes);
    if (samplesNs.length < WARM_UP + count) return send();
    console.log(JSON.stringify(samplesNs.slice(WARM_UP)));
    close();
  });
  send();
}

function many(address: string, count: number, underWay: number): void {
  const { call, close } = open(address, ECHO);
  const request = Buffer.alloc(REQUEST_BYTES);
  request.writeUInt32LE(REQUEST_BYTES);
  let [left, waiting, beginNs] = [WARM_UP, 0, 0n];
  const send = (): void => {
    left -= 1;
    waiting += 1;
    call.write(request);
  };
  const begin = (): void => {
    while (left > 0 && waiting < underWay) send();
  };
  call.on('data', () => {
    waiting -= 1;
    if (left > 0) return send();
    if (waiting > 0) return;
    if (beginNs === 0n) {
      console.log('warm');
      process.stdin.once('data', () => {
        beginNs = process.hrtime.bigint();
        left = count;
        begin();
      });
      return;
    }
    console.log(Number(process.hrtime.bigint() - beginNs));
    process.stdin.destroy();
    close();
  });
  begin();
}

function stream(address: string, bytes: number, messageBytes: number): void {
  const { call, close } = open(address, STREAM);
  const ask = (wantBytes: number): bigint => {
    const request = Buffer.alloc(REQUEST_BYTES);
    request.writeUInt32LE(wantBytes);
    request.writeUInt32LE(messageBytes, 4);
    call.write(request);
    return process.hrtime.bigint();
  };
  // One eighth first: connected, and compiled.
  const warmUpBytes = Math.ceil(bytes / 8);
  let left = warmUpBytes;
  let sentNs: bigint | undefined;
  ask(warmUpBytes);
  call.on('data', (message: Buffer) => {
    left -= message.length;
    if (left > 0) return;
    if (sentNs === undefined) {
      left = bytes;
      sentNs = ask(bytes);
      return;
    }
    console.log(Number(process.hrtime.bigint() - sentNs));
    close();
  });
}

const [role, address = '', first, second] = process.argv.slice(2);
if (role === 'serve') serve(address, handlers);
else if (role === 'pipe') serve('127.0.0.1:0', pipes(address));
else if (role === 'echo') echo(address, Number(first), Number(second));
else if (role === 'many') many(address, Number(first), Number(second));
else if (role === 'stream') stream(address, Number(first), Number(second));
else throw new Error(`no role ${role}`);
