import { Code } from '@odonata/rpc/error.ts';
import { describe, expect, it } from 'vitest';
import { NamesAsked } from './names-asked.ts';

describe('names of servers', () => {
  it('a name is asked once at a time, however many programs wait; what is not answered leaves threads for others', async () => {
    const waiting = new Map<string, PromiseWithResolvers<string>>();
    let calls = 0;
    const names = new NamesAsked((name) => {
      calls++;
      const one = Promise.withResolvers<string>();
      waiting.set(name, one);
      return one.promise;
    });
    const many = Array.from({ length: 256 }, () => names.addressOf('slow.example'));
    const other = names.addressOf('slower.example');
    expect(calls).toBe(2);
    await expect(names.addressOf('third.example')).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(calls).toBe(2);

    waiting.get('slow.example')!.resolve('10.0.0.1');
    expect(new Set(await Promise.all(many))).toEqual(new Set(['10.0.0.1']));
    waiting.get('slower.example')!.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' }));
    await expect(other).rejects.toMatchObject({ code: 'ENOTFOUND' });

    const third = names.addressOf('third.example');
    expect(calls).toBe(3);
    waiting.get('third.example')!.resolve('10.0.0.3');
    expect(await third).toBe('10.0.0.3');
  });

  it('the resolver of the host is asked', async () => {
    expect(['127.0.0.1', '::1']).toContain(await new NamesAsked().addressOf('localhost'));
  });
});
