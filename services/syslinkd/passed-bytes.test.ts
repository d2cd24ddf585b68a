// What a router does with the bytes of a circuit, from what gRPC gives it to what it gives gRPC: nobody looks into them, and they are
// copied once.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  AttachRequestSchema,
  AttachResponseSchema,
  EndpointKind,
  type Frame,
} from '@odonata/proto/syslink/v1/syslink';
import { ANYONE } from '@odonata/rpc/identity/identity.ts';
import { decoder } from '@odonata/rpc/service.ts';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import { Outbox } from '@odonata/rpc/syslink/outbox.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { expect, it } from 'vitest';
import type { Connection } from './registry.ts';
import { Router } from './router.ts';

const decode = decoder(AttachRequestSchema);

/** An endpoint, as its stream: bytes in, bytes out. */
function endpoint(router: Router, name: string) {
  const written: Buffer[] = [];
  const outbox = new Outbox({
    write: (batch) => {
      if (Buffer.isBuffer(batch)) written.push(batch);
      return true;
    },
    on: () => {},
  });
  const connection: Connection = {
    caller: ANYONE,
    send: (sent, taken) => outbox.send(sent, taken),
    waitingBytes: 0,
    end: (error) => {
      throw error;
    },
  };
  const says = (...frames: Frame[]): void => {
    const bytes = toBinary(AttachRequestSchema, create(AttachRequestSchema, { frames }));
    receives(bytes);
  };
  const receives = (bytes: Uint8Array): void => {
    for (const received of decode(bytes).frames) router.receive(connection, received, 0);
  };
  says(
    frame({ case: 'register', value: { name, kind: EndpointKind.VKERNEL, session: 1n, wire: wireSpoken() } }),
  );
  return { written, says, receives };
}

/** Bytes that are copied in large pieces by JavaScript meanwhile. */
async function copied(use: () => Promise<void>): Promise<number> {
  const { set, slice } = Uint8Array.prototype;
  let bytes = 0;
  Uint8Array.prototype.set = function (from: ArrayLike<number>, at?: number) {
    if (from.length >= 16 * 1024) bytes += from.length;
    set.call(this, from, at);
  };
  Uint8Array.prototype.slice = function (from?: number, to?: number) {
    const part = slice.call(this, from, to);
    if (part.length >= 16 * 1024) bytes += part.length;
    return part as Uint8Array<ArrayBuffer>;
  };
  try {
    await use();
  } finally {
    Object.assign(Uint8Array.prototype, { set, slice });
  }
  return bytes;
}

it.each([1, 4])('copies what a circuit carries once, in messages of %i frames', async (count) => {
  const router = new Router({ number: 1 });
  const [near, far] = [endpoint(router, 'near'), endpoint(router, 'far')];
  near.says(
    frame({ case: 'circuitOpen', value: { circuit: 1n, to: { name: 'far' }, proto: '/p', hopLimit: 8 } }),
  );
  const pieces = Array.from({ length: count }, (_, i) => new Uint8Array(64 * 1024).fill(i + 1));
  const frames = pieces.map((data) => frame({ case: 'circuitData', value: { circuit: 1n, data } }));
  const bytes = toBinary(AttachRequestSchema, create(AttachRequestSchema, { frames }));
  await Promise.resolve();
  const seen = await copied(async () => {
    near.receives(bytes);
    await Promise.resolve();
  });
  expect(seen).toBe(count * 64 * 1024);
  const [whole] = far.written;
  const sent = fromBinary(AttachResponseSchema, whole!).frames.map(({ frame }) => frame);
  expect(sent).toHaveLength(count);
  for (const [i, each] of sent.entries()) {
    expect(each.case).toBe('circuitData');
    if (each.case === 'circuitData') expect(Buffer.from(each.value.data).equals(pieces[i]!)).toBe(true);
  }
  // In one buffer that is just as large: nothing grew by doubling.
  expect(whole!.buffer.byteLength).toBe(whole!.length);
});
