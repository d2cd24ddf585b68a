// What people are refused for a limit counts, by its word and theirs, whatever kind of method it is; and once.
import { Role } from '@odonata/proto/auth/v1/access';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { Limits } from '@odonata/rpc/limits.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import { expect, test } from 'vitest';
import { countingLimits, ofLimit } from './limit-of.ts';

const alice = {
  caller: { cluster: 'test', role: Role.USER, name: 'alice', groups: [] },
  scope: 'own',
} as unknown as CallContext;

const full = () => ofLimit('syncs', new RpcError(Code.ResourceExhausted, 'too many syncs; ask later'));

test('a refusal counts, with who and how to raise it, of a call and of a stream', async () => {
  const events: unknown[] = [];
  const limits = new Limits({ add: (...event: unknown[]) => events.push(event) } as never);
  const raw = { stays: 'as it is' };
  const calls = countingLimits(limits, {
    raw,
    now(): number {
      throw full();
    },
    async later() {
      await Promise.resolve();
      throw full();
    },
    async *many() {
      yield 1;
      throw full();
    },
    other(): number {
      throw new RpcError(Code.NotFound, 'no such thing');
    },
    fine: (request: unknown) => request,
  }) as unknown as Record<string, (request: unknown, ctx: CallContext) => unknown>;
  expect(calls.raw).toBe(raw);
  expect(calls.fine!(7, alice)).toBe(7);
  expect(() => calls.other!({}, alice)).toThrow('no such thing');
  expect(events).toEqual([]);
  expect(() => calls.now!({}, alice)).toThrow('too many syncs');
  await expect(calls.later!({}, alice)).rejects.toThrow('too many syncs');
  const seen: unknown[] = [];
  const all = async () => {
    for await (const each of calls.many!({}, alice) as AsyncIterable<unknown>) seen.push(each);
  };
  await expect(all()).rejects.toThrow('too many syncs');
  expect(seen).toEqual([1]);
  const told = ['limit-hit', 'user:alice: too many syncs; ask later', { limit: 'syncs', who: 'user:alice' }];
  expect(events).toEqual([told, told, told]);
});
