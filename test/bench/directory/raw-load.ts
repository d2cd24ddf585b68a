// The yardstick of acquires: small messages over plain grpc-js streams, each answered by one, so many under way.
import assert from 'node:assert/strict';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import * as grpc from '@grpc/grpc-js';
import { CHANNEL_OPTIONS, type RpcChannel } from '@odonata/rpc/channel.ts';
import { EventBatch } from '@odonata/rpc/event-batch.ts';
import { within } from './holders.ts';

const ECHO = '/bench.Raw/Echo';
/** About what an acquire or an ack has on the wire. */
export const UNIT_BYTES = 24;

const same = (bytes: Buffer): Buffer => bytes;

interface Line {
  channel: RpcChannel;
  call: ClientDuplexStream<Buffer, Buffer>;
}

export class RawLoad {
  private readonly lines: Line[];
  private readonly signal: AbortSignal;

  constructor(address: string, streams: number, signal: AbortSignal) {
    this.signal = signal;
    this.lines = Array.from({ length: streams }, () => {
      // Not ours: it asks nobody who they are.
      const channel = new grpc.Client(address, grpc.credentials.createInsecure(), {
        ...CHANNEL_OPTIONS,
        'grpc.use_local_subchannel_pool': 1,
      });
      const call = channel.makeBidiStreamRequest(ECHO, same, same);
      call.on('error', () => {}); // Its end is missed, or we ended it.
      return { channel, call };
    });
  }

  /**
   * So many units over each stream and back, `depth` of them under way. `joined`: what is sent in one turn goes as one
   * message, as events do; else each unit is a message.
   */
  async round(units: number, depth: number, joined: boolean): Promise<void> {
    const all = Promise.all(this.lines.map(({ call }) => echoUnits(call, units, depth, joined)));
    await within({ signal: this.signal, what: 'a round of raw messages' }, all);
  }

  close(): void {
    for (const { call, channel } of this.lines) {
      call.cancel();
      channel.close();
    }
  }
}

function echoUnits(
  call: ClientDuplexStream<Buffer, Buffer>,
  units: number,
  depth: number,
  joined: boolean,
): Promise<void> {
  return new Promise((resolve) => {
    let sent = 0;
    let back = 0;
    const write = (count: number): void => {
      const message = Buffer.alloc(count * UNIT_BYTES);
      message.writeUInt32LE(message.length);
      call.write(message);
    };
    const batch = new EventBatch<undefined>((each) => write(each.length));
    const send = (): void => {
      if (sent === units) return;
      sent++;
      if (joined) batch.push(undefined);
      else write(1);
    };
    const receive = (reply: Buffer): void => {
      const count = reply.length / UNIT_BYTES;
      assert(Number.isInteger(count), 'a reply is as long as its request');
      back += count;
      for (let i = 0; i < count; i++) send();
      if (back < units) return;
      call.off('data', receive);
      resolve();
    };
    call.on('data', receive);
    for (let i = 0; i < depth; i++) send();
  });
}
