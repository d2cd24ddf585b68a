import assert from 'node:assert/strict';
import { Role } from '@odonata/proto/auth/v1/access';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { expect, test } from 'vitest';
import type { Node } from '../node.ts';
import { adoptHandler } from './adopt.ts';

/** A node whose memory fails for page 1. */
function adopting(failure: unknown) {
  const node = {
    name: 'node1',
    isLeaving: false,
    openings: { open: async () => ({ dataspace: { name: 'd', pageCount: 4 } }) },
    memory: {
      async withPages(_: unknown, firstPage: number, pageCount: number, _mode: string, use: () => number) {
        if (firstPage <= 1 && 1 < firstPage + pageCount) throw failure;
        return use();
      },
    },
  } as unknown as Node;
  const { adopt } = adoptHandler(node);
  const request = { dataspace: 'd', runs: [{ firstPage: 0, pageCount: 4 }] };
  return (adopt as (request: unknown, call: unknown) => Promise<unknown>)(request, {
    caller: { role: Role.PMAPD },
  });
}

const noDescriptor = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
const bug = new assert.AssertionError({ message: 'this never happens' });

test.each([
  ['the page was lost', new RpcError(Code.DataLoss, 'page 1 is lost')],
  ['its dataspace is gone', new RpcError(Code.NotFound, 'no dataspace d')],
])('what is nowhere is absent, and the others are taken: %s', async (_, failure) => {
  expect(await adopting(failure)).toEqual({ pages: 3, absentPages: 1 });
});

test.each([
  ['no frames', new RpcError(Code.ResourceExhausted, 'no frames')],
  ['a hand-over', new RpcError(Code.Unavailable, 'another pmap manager takes the place of this one')],
  ['a descriptor', noDescriptor],
  ['a bug', bug],
])('what fails here is not called absent: %s', async (_, failure) => {
  await expect(adopting(failure)).rejects.toBe(failure);
});
