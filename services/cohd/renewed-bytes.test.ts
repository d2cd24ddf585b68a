// It is the message that it stands for, whatever the clock of a node says.
import { create, toBinary } from '@bufbuild/protobuf';
import { HoldResponseSchema } from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import { renewedBytes } from './renewed-bytes.ts';

test.each([1n, 127n, 128n, 16_383n, 16_384n, 4_000_000_000n, 2n ** 52n, BigInt(Number.MAX_SAFE_INTEGER)])(
  'sent at %d',
  (sentMs) => {
    const events = [{ event: { case: 'renewed' as const, value: { sentMs } } }];
    const bytes = toBinary(HoldResponseSchema, create(HoldResponseSchema, { events }));
    expect(new Uint8Array(renewedBytes(sentMs))).toEqual(bytes);
  },
);
