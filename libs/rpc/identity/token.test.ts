import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestAuthority } from '../../authority/testing.ts';
import { Code, type RpcError } from '../error.ts';
import type { TlsFolder } from './tls-folder.ts';
import { makeToken, readToken } from './token.ts';

const DOOR = 'unix:/run/pmapd.sock';
const authority = new TestAuthority();
const strangers = new TestAuthority();
let pmapd: TlsFolder;
let vkerneld: TlsFolder;
let alice: TlsFolder;
let stranger: TlsFolder;
beforeAll(async () => {
  [pmapd, vkerneld, alice, stranger] = await Promise.all([
    authority.folder('pmapd/node1'),
    authority.folder('vkerneld/node1'),
    authority.folder('user/alice?groups=physics'),
    strangers.folder('vkerneld/node1'),
  ]);
});
afterAll(() => {
  authority.remove();
  strangers.remove();
});

const about = () => ({ audience: [DOOR], nowMs: Date.now(), lifeMs: 60_000 });
const readBy = (token: string, audiences = [DOOR], nowMs = Date.now()) =>
  readToken(token, pmapd.identity, new Set(audiences), nowMs);

function refusal(token: string, audiences?: string[], nowMs?: number): string {
  try {
    return `let in ${JSON.stringify(readBy(token, audiences, nowMs))}`;
  } catch (error) {
    expect((error as RpcError).code).toBe(Code.Unauthenticated);
    return (error as RpcError).details;
  }
}

/** A token with some of it replaced, signed as before. */
function altered(token: string, part: 0 | 1, change: (value: Record<string, unknown>) => void): string {
  const parts = token.split('.');
  const value = JSON.parse(Buffer.from(parts[part]!, 'base64url').toString()) as Record<string, unknown>;
  change(value);
  parts[part] = Buffer.from(JSON.stringify(value)).toString('base64url');
  return parts.join('.');
}

describe('a token', () => {
  it('says who made it', () => {
    expect(readBy(makeToken(alice.identity, about())).caller).toMatchObject(
      authority.caller('user/alice?groups=physics'),
    );
    expect(readBy(makeToken(vkerneld.identity, about())).caller).toMatchObject(
      authority.caller('vkerneld/node1'),
    );
  });

  it('of a supervisor speaks for its virtual kernels, and says whose they are', () => {
    const subject = { ...authority.caller('vkernel/node1/default'), user: 'alice', groups: ['physics'] };
    expect(readBy(makeToken(vkerneld.identity, { ...about(), subject })).caller).toMatchObject(subject);
  });

  it('for oneself is for ten minutes at most', () => {
    const ten = { ...about(), lifeMs: 10 * 60_000 };
    expect(refusal(makeToken(alice.identity, ten))).toMatch(/^let in /);
    expect(refusal(makeToken(alice.identity, { ...ten, lifeMs: 11 * 60_000 }))).toBe(
      'the token is for longer than 10 minutes',
    );
  });

  it('of others speaks for nobody else', () => {
    const alices = { ...authority.caller('vkernel/node1/default'), user: 'alice', groups: [] };
    const elsewhere = { ...authority.caller('vkernel/node2/default'), user: 'alice', groups: [] };
    const root = { ...authority.caller('admin/root'), user: 'root', groups: [] };
    const nobodys = authority.caller('vkernel/node1/default');
    for (const [maker, subject] of [
      [pmapd, alices],
      [alice, alices],
      [vkerneld, elsewhere],
      [vkerneld, root],
      [vkerneld, nobodys],
      [vkerneld, { ...alices, cluster: 'other' }],
    ] as const) {
      expect(refusal(makeToken(maker.identity, { ...about(), subject }))).toMatch(
        /may not speak for|speaks for nobody/,
      );
    }
  });

  it('is for its doors and its time', () => {
    const token = makeToken(alice.identity, about());
    expect(refusal(token, ['unix:/run/cohd.sock'])).toBe(`the token is for ${DOOR}`);
    expect(refusal(token, [])).toBe(`the token is for ${DOOR}`);
    expect(refusal(token, [DOOR], Date.now() + 61_000)).toMatch(/over/);
    expect(refusal(token, [DOOR], Date.now() - 20_000)).toMatch(/not yet|not valid now/);
    expect(refusal(token, [DOOR], Date.now() + 3 * 86_400_000)).toMatch(/not valid now/);
  });

  it('of another authority is refused', () => {
    expect(refusal(makeToken(stranger.identity, about()))).toMatch(/not of the authority/);
  });

  it('that was altered is refused', () => {
    const token = makeToken(alice.identity, about());
    const [header, payload, signature] = token.split('.') as [string, string, string];
    const other = makeToken(pmapd.identity, about()).split('.') as [string, string, string];
    const forged = [
      '',
      '.',
      '..',
      'x',
      `${header}.${payload}`,
      `${token}.x`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
      `${other[0]}.${payload}.${signature}`,
      `${header}.${other[1]}.${signature}`,
      altered(token, 1, (said) => {
        said.iss = said.sub = 'odonata://test/admin/root';
      }),
      altered(token, 1, (said) => {
        said.exp = 9_999_999_999;
      }),
      altered(token, 1, (said) => {
        said.aud = 'everybody';
      }),
      altered(token, 1, (said) => {
        delete said.exp;
      }),
      altered(token, 0, (said) => {
        said.alg = 'none';
      }),
      altered(token, 0, (said) => {
        said.alg = 'HS256';
      }),
      altered(token, 0, (said) => {
        said.alg = 'RS256';
      }),
      altered(token, 0, (said) => {
        said.x5c = [];
      }),
      altered(token, 0, (said) => {
        said.x5c = ['AAAA'];
      }),
      altered(token, 0, (said) => {
        said.x5c = [pmapd.identity.authorities[0]!.raw.toString('base64')];
      }),
      `${token}${'A'.repeat(10_000)}`,
    ];
    for (const each of forged) expect(refusal(each), each.slice(0, 200)).not.toMatch(/^let in/);
  });
});
