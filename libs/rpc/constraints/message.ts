// The constraints that stand in the .proto files (buf.validate), as checks of messages. Each message type gets one
// function, made of its rules when it is first asked for: a few comparisons a field, where an interpreter of the rules
// (protovalidate) takes some ten microseconds a message. A test holds the two against each other.
//
// A oneof of which nothing is set is no violation: it is how a later version looks that knows more. Whoever reads it
// says what it means.
import type { DescField, DescMessage, DescOneof, Message } from '@bufbuild/protobuf';
import { getOption, hasOption } from '@bufbuild/protobuf';
import { type FieldRules, field as fieldOption, oneof as oneofOption } from '@odonata/proto/buf/validate';
import { enumCheck, scalarCheck, type ValueCheck } from './value.ts';
import { type Check, inField, type Violation } from './violation.ts';

type Values = Readonly<Record<string, unknown>>;
type FieldCheck = (message: Values) => Violation | undefined;

const checks = new WeakMap<DescMessage, Check<Message>>();

/** What is wrong with a message. @throws Error where a rule of its .proto file is not known here */
export function violationOf(schema: DescMessage, message: Message): Violation | undefined {
  return checkOf(schema)(message);
}

/** The check of a message type. */
export function checkOf(schema: DescMessage): Check<Message> {
  const known = checks.get(schema);
  if (known !== undefined) return known;
  // Types contain each other: whoever refers to this one before it is made finds it later.
  const fields: FieldCheck[] = [];
  const check: Check<Message> = (message) => {
    for (let i = 0; i < fields.length; i++) {
      const found = fields[i]!(message as unknown as Values);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  checks.set(schema, check);
  for (const member of schema.members) {
    const made = member.kind === 'oneof' ? oneofCheck(member) : fieldCheck(member);
    if (made !== undefined) fields.push(made);
  }
  return check;
}

const rulesOf = (field: DescField): FieldRules | undefined =>
  hasOption(field, fieldOption) ? getOption(field, fieldOption) : undefined;

const at = (field: string, text: string | undefined): Violation | undefined =>
  text === undefined ? undefined : { field, text };

function oneofCheck(oneof: DescOneof): FieldCheck | undefined {
  const { localName } = oneof;
  const required = hasOption(oneof, oneofOption) && getOption(oneof, oneofOption).required;
  const cases = new Map<string, Check>();
  for (const field of oneof.fields) {
    const check = presentCheck(field, rulesOf(field));
    if (check !== undefined) cases.set(field.localName, check);
  }
  if (!required && cases.size === 0) return undefined;
  return (message) => {
    const { case: which, value } = message[localName] as { case: string | undefined; value?: unknown };
    if (which === undefined) return required ? { field: oneof.name, text: 'missing' } : undefined;
    return cases.get(which)?.(value);
  };
}

function fieldCheck(field: DescField): FieldCheck | undefined {
  const { localName, name } = field;
  const rules = rulesOf(field);
  const check = presentCheck(field, rules);
  const required = rules?.required === true;
  if (required && field.fieldKind !== 'message') throw new Error(`bug: ${field}: required is for messages`);
  if (check === undefined && !required) return undefined;
  return (message) => {
    const value = message[localName];
    if (value === undefined) return required ? { field: name, text: 'missing' } : undefined;
    return check?.(value);
  };
}

/** Of a value that is there. */
function presentCheck(field: DescField, rules: FieldRules | undefined): Check | undefined {
  const { name } = field;
  switch (field.fieldKind) {
    case 'scalar':
      return named(name, scalarCheck(field.scalar, rules));
    case 'enum':
      return named(name, enumCheck(field.enum, rules?.type.case === 'enum' ? rules.type.value : undefined));
    case 'message': {
      const check = messageCheck(field.message);
      return (value) => {
        const found = check?.(value as Message);
        return found && inField(name, found);
      };
    }
    case 'list':
      return listCheck(field, rules);
    case 'map':
      return mapCheck(field, rules);
  }
}

/** Messages of others have no rules; undefined saves the call. */
const messageCheck = (schema: DescMessage): Check<Message> | undefined =>
  schema.typeName.startsWith('google.protobuf.') ? undefined : checkOf(schema);

function named(field: string, check: ValueCheck | undefined): Check | undefined {
  return check && ((value) => at(field, check(value as never)));
}

function itemCheck(
  field: DescField & { fieldKind: 'list' | 'map' },
  rules: FieldRules | undefined,
): Check | undefined {
  if (field.message !== undefined) return messageCheck(field.message) as Check | undefined;
  const { enum: descriptor, scalar } = field;
  const check =
    descriptor !== undefined
      ? enumCheck(descriptor, rules?.type.case === 'enum' ? rules.type.value : undefined)
      : scalarCheck(scalar!, rules);
  return named('', check);
}

function listCheck(
  field: DescField & { fieldKind: 'list' },
  rules: FieldRules | undefined,
): Check | undefined {
  const { name } = field;
  const { minItems = 0n, maxItems = 0n, items } = rules?.type.case === 'repeated' ? rules.type.value : {};
  const [least, most] = [Number(minItems), maxItems === 0n ? Number.POSITIVE_INFINITY : Number(maxItems)];
  const item = itemCheck(field, items);
  return (value) => {
    const list = value as readonly unknown[];
    if (list.length > most) return { field: name, text: `at most ${most} items, not ${list.length}` };
    if (list.length < least) return { field: name, text: `at least ${least} items, not ${list.length}` };
    if (item === undefined) return undefined;
    for (let i = 0; i < list.length; i++) {
      const found = item(list[i]);
      if (found !== undefined) return inField(`${name}[${i}]`, found);
    }
    return undefined;
  };
}

function mapCheck(field: DescField & { fieldKind: 'map' }, rules: FieldRules | undefined): Check | undefined {
  const { name } = field;
  const { maxPairs = 0n, keys, values } = rules?.type.case === 'map' ? rules.type.value : {};
  const most = maxPairs === 0n ? Number.POSITIVE_INFINITY : Number(maxPairs);
  const key = named('', scalarCheck(field.mapKey, keys));
  const item = itemCheck(field, values);
  return (value) => {
    const pairs = Object.entries(value as Values);
    if (pairs.length > most) return { field: name, text: `at most ${most} pairs, not ${pairs.length}` };
    for (const [k, v] of pairs) {
      const found = key?.(k) ?? item?.(v);
      if (found !== undefined) return inField(name, found);
    }
    return undefined;
  };
}
