// The constraints of all messages: that there are some, that our checks of them say what protovalidate says, and what both cost.
import type { DescField, DescMessage, Message } from '@bufbuild/protobuf';
import { getOption, hasOption } from '@bufbuild/protobuf';
import { createValidator } from '@bufbuild/protovalidate';
import { field as fieldOption } from '@odonata/proto/buf/validate';
import { checkOf, violationOf } from '@odonata/rpc/constraints/message.ts';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Heard, HostileMessage } from './hostile-message.ts';
import { MESSAGES } from './messages.ts';
import { SEED } from './seed.ts';

const RUNS = 25;
const ruleOf = (field: DescField) =>
  hasOption(field, fieldOption) ? getOption(field, fieldOption) : undefined;

it('every count, text, byte field and enum has a bound', () => {
  const unbounded = (field: DescField): boolean => {
    const type = ruleOf(field)?.type;
    if (field.fieldKind === 'list') return !(type?.case === 'repeated' && type.value.maxItems > 0n);
    if (field.fieldKind === 'map') return !(type?.case === 'map' && type.value.maxPairs > 0n);
    if (field.fieldKind === 'enum') return !(type?.case === 'enum' && type.value.definedOnly);
    if (field.fieldKind !== 'scalar') return false;
    // Strings and bytes.
    if (field.scalar === 9) return !(type?.case === 'string' && type.value.maxLen > 0n);
    return (
      field.scalar === 12 && !(type?.case === 'bytes' && (type.value.maxLen > 0n || type.value.len > 0n))
    );
  };
  const options = new Set(['odonata.auth.v1.Access']);
  const all = MESSAGES.filter(({ typeName }) => !options.has(typeName)).flatMap(({ fields }) => fields);
  expect(all.filter(unbounded).map(String)).toEqual([]);
});

it('checks say what protovalidate says', () => {
  const validator = createValidator({ failFast: true });
  let broken = 0;
  for (const schema of MESSAGES) {
    fc.assert(
      fc.property(new HostileMessage(schema, new Heard()), (message) => {
        const theirs = validator.validate(schema, message);
        if (theirs.kind === 'error') throw theirs.error;
        const ours = violationOf(schema, message);
        if (ours !== undefined) broken++;
        expect(ours === undefined, `${schema.typeName} ${ours?.field} ${ours?.text} ${theirs.error}`).toBe(
          theirs.kind === 'valid',
        );
      }),
      { seed: SEED, numRuns: RUNS },
    );
  }
  expect(broken).toBeGreaterThan(MESSAGES.length);
});

it('a check costs a fraction of a microsecond a field', () => {
  const hot = ['Fault', 'HoldRequest', 'HoldResponse', 'SessionRequest', 'FaultsRequest', 'AttachRequest'];
  const validator = createValidator({ failFast: true });
  for (const schema of MESSAGES.filter(({ name }) => hot.includes(name))) {
    const message = firstValid(schema);
    const ours = timed(2_000, () => checkOf(schema)(message));
    const theirs = timed(50, () => validator.validate(schema, message));
    if (process.env.SHOW) console.log(schema.typeName, `${ours.toFixed(2)} us`, `${theirs.toFixed(1)} us`);
    // The machine may be busy: what it really takes docs/limits.md says.
    expect(ours).toBeLessThan(200);
  }
});

function firstValid(schema: DescMessage): Message {
  return fc
    .sample(new HostileMessage(schema, new Heard()), { seed: 1, numRuns: 300 })
    .find(
      (message) =>
        violationOf(schema, message) === undefined && JSON.stringify(message, replacer).length > 60,
    )!;
}

const replacer = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);

function timed(times: number, run: () => unknown): number {
  for (let i = 0; i < times; i++) run();
  const startMs = performance.now();
  for (let i = 0; i < times; i++) run();
  return ((performance.now() - startMs) * 1000) / times;
}
