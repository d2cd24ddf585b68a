import { BlockList } from 'node:net';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AllowedConnections, isConnectRule } from './allowed-connections.ts';

const codeOf = (run: () => unknown): Code | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof RpcError) return error.code;
    throw error;
  }
};

const v4 = fc.ipV4();
const port = fc.integer({ min: 1, max: 65_535 });

describe('places to connect to', () => {
  it.each([
    '80',
    '1-65535',
    '127.0.0.1:80',
    '10.0.0.0/8:443',
    '[::1]:80',
    '[2001:db8::]/32:1-9',
    'example.org:443',
    'db:5432',
    'xn--a:1',
  ])('%s is one', (text) => {
    expect(isConnectRule(text)).toBe(true);
  });

  it.each([
    '',
    '0',
    '65536',
    '9-1',
    ':80',
    'example.org',
    'example.org:',
    '1.2.3:80',
    '1.2.3.4.5:80',
    '300.1.1.1:80',
    '[::ffff:127.0.0.1]:80',
    '[::FFFF:7f00:1]:80',
    '[0:0:0:0:0:ffff:0:0]/96:80',
    '0x7f.1:80',
    '0x7f000001:80',
    '2130706433:80',
    '127.0.0.1/33:80',
    'example.org/8:80',
    '[::1]/129:80',
    '[127.0.0.1]:80',
    '::1:80',
    'a b:80',
    'a..b:80',
    '*:80',
    `${'a'.repeat(254)}:80`,
    'http://a:80',
    'a:80\n',
    '٨:80',
  ])('%j is none', (text) => {
    expect(isConnectRule(text)).toBe(false);
  });

  it('an address is allowed where a rule holds it, and its port, and not elsewhere', () => {
    fc.assert(
      fc.property(
        v4,
        fc.integer({ min: 0, max: 32 }),
        port,
        port,
        v4,
        port,
        (net, bits, one, two, host, at) => {
          const [first, last] = [Math.min(one, two), Math.max(one, two)];
          const allowed = new AllowedConnections([`${net}/${bits}:${first}-${last}`], 'n');
          const list = new BlockList();
          list.addSubnet(net, bits, 'ipv4');
          const holds = list.check(host) && first <= at && at <= last;
          const place = `${host}:${at}`;
          expect(codeOf(() => allowed.expectAllowed([place]))).toBe(
            holds ? undefined : Code.PermissionDenied,
          );
          expect(codeOf(() => allowed.endpointOf(place, [place]))).toBe(
            holds ? undefined : Code.PermissionDenied,
          );
          expect(codeOf(() => allowed.endpointOf(place, []))).toBe(Code.PermissionDenied);
        },
      ),
    );
  });

  it('a program gets no more than the rules hold, as a subnet, a range or after the rules have changed', () => {
    const allowed = new AllowedConnections(['10.0.0.0/16:80-90', 'DB.example:5432'], 'n');
    const denied = (place: string) => codeOf(() => allowed.expectAllowed([place])) === Code.PermissionDenied;
    expect(['10.0.3.0/24:81-82', '10.0.0.0/16:80-90', 'db.EXAMPLE:5432'].map(denied)).toEqual([
      false,
      false,
      false,
    ]);
    expect(['10.0.0.0/15:80', '10.0.0.1:80-91', '0.0.0.0/0:80', 'example:5432'].map(denied)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(codeOf(() => allowed.endpointOf('10.1.0.1:80', ['10.0.0.0/8:80']))).toBe(Code.PermissionDenied);
    expect(allowed.endpointOf('Db.example:5432', ['db.example:5432'])).toEqual({
      host: 'db.example',
      isName: true,
      port: 5432,
    });
    expect(codeOf(() => allowed.endpointOf('10.0.0.0/24:80', ['10.0.0.0/24:80']))).toBe(Code.InvalidArgument);
    expect(codeOf(() => allowed.expectAllowed(Array.from({ length: 17 }, () => '10.0.0.1:80')))).toBe(
      Code.InvalidArgument,
    );
  });
});
