import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatIdentity, parseIdentity, roleOf } from './identity.ts';

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
const caller = fc.record({
  cluster: name,
  role: fc.constantFrom(
    'admin',
    'operator',
    'user',
    'viewer',
    'cohd',
    'pmapd',
    'vkerneld',
    'syslinkd',
    'vkernel',
  ),
  name: fc.oneof(
    name,
    fc.tuple(name, name).map((parts) => parts.join('/')),
  ),
  groups: fc.array(name, { maxLength: 4 }),
});

it('an identity is what its URI says', () => {
  fc.assert(
    fc.property(caller, ({ role, ...rest }) => {
      const identity = { ...rest, role: roleOf(role)! };
      expect(parseIdentity(formatIdentity(identity))).toEqual(identity);
    }),
  );
});

it.each([
  '',
  'odonata://',
  'odonata://c/pmapd',
  'odonata://c/root/x',
  'odonata://c/__proto__/x',
  'odonata://c/pmapd/a/b/c',
  'odonata://c/pmapd/../x',
  'odonata://C/pmapd/x',
  'odonata://c/pmapd/x, URI:odonata://c/admin/root',
  'odonata://c/user/x?groups=a,b',
  'odonata://c/user/x?groups=',
  'odonata://c/user/x#y',
  'https://c/user/x',
  ` odonata://c/user/x`,
  `odonata://c/user/${'x'.repeat(600)}`,
])('%s is none', (uri) => {
  expect(parseIdentity(uri)).toBeUndefined();
});
