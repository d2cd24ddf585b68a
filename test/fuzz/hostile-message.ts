/**
 * Messages of a type, made from its descriptor: by turns such as keep all constraints of the .proto file, with values that
 * were heard before in fields of the same name, and such as break some; without what is not there, with the largest
 * numbers, counts and texts, with enums that are none. An arbitrary of fast-check: its seed makes the same ones again.
 */
import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  getOption,
  hasOption,
  type Message,
  ScalarType,
} from '@bufbuild/protobuf';
import { type FieldRules, field as fieldOption } from '@odonata/proto/buf/validate';
import fc from 'fast-check';

/** What was heard, by the name of its field. */
export class Heard {
  readonly #values = new Map<string, unknown[]>();
  #at = 0;

  /** Keeps the values of a message, the last ones of each name. */
  hear(schema: DescMessage, message: Message): void {
    const values = message as unknown as Record<string, unknown>;
    for (const field of schema.fields) {
      const { oneof, localName } = field;
      const of =
        oneof === undefined ? undefined : (values[oneof.localName] as { case?: string; value?: unknown });
      const value = oneof === undefined ? values[localName] : of?.case === localName ? of.value : undefined;
      if (value === undefined) continue;
      if (field.fieldKind === 'message') this.hear(field.message, value as Message);
      else if (field.fieldKind === 'list' && field.message !== undefined)
        for (const each of (value as Message[]).slice(0, 16)) this.hear(field.message, each);
      else if (field.fieldKind === 'scalar') this.keep(field.name, value);
    }
  }

  keep(name: string, value: unknown): void {
    const kept = this.#values.get(name) ?? [];
    kept[this.#at++ % 16] = value;
    this.#values.set(name, kept);
  }

  of(name: string): readonly unknown[] {
    return this.#values.get(name) ?? [];
  }
}

const DEPTH = 5;
const U32 = [0, 1, 2, 63, 64, 4095, 4096, 2 ** 28 - 1, 2 ** 28, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const U64 = [
  0n,
  1n,
  2n,
  4095n,
  4096n,
  8192n,
  1n << 28n,
  (1n << 32n) - 1n,
  1n << 39n,
  1n << 40n,
  (1n << 53n) - 1n,
].concat(1n << 53n, (1n << 63n) - 1n, (1n << 64n) - 1n);
const TEXTS = [
  '',
  'a',
  'node1',
  'fuzz',
  'a/b',
  '../..',
  '\u0000',
  '\u001b[31m',
  'é'.repeat(300),
  ' ',
  '%s',
  '{',
  '💥',
];

export class HostileMessage extends fc.Arbitrary<Message> {
  readonly #schema: DescMessage;
  readonly #heard: Heard;
  readonly #breaksOneIn: number;
  readonly #seldom: ReadonlySet<string>;

  /**
   * @param breaksOneIn one of so many breaks some constraint; the others get past the door
   * @param seldom fields of oneofs that end whatever follows them
   */
  constructor(schema: DescMessage, heard: Heard, breaksOneIn = 4, seldom: ReadonlySet<string> = new Set()) {
    super();
    this.#seldom = seldom;
    this.#schema = schema;
    this.#heard = heard;
    this.#breaksOneIn = breaksOneIn;
  }

  generate(random: fc.Random): fc.Value<Message> {
    const breaks = random.nextInt(1, this.#breaksOneIn) === 1;
    return new fc.Value(
      new Maker(random, this.#heard, breaks, this.#seldom).message(this.#schema, 0),
      undefined,
    );
  }

  canShrinkWithoutContext(value: unknown): value is Message {
    return value === undefined;
  }

  shrink(): fc.Stream<fc.Value<Message>> {
    return fc.Stream.nil();
  }
}

class Maker {
  readonly #random: fc.Random;
  readonly #heard: Heard;
  readonly #breaks: boolean;
  readonly #seldom: ReadonlySet<string>;

  constructor(random: fc.Random, heard: Heard, breaks: boolean, seldom: ReadonlySet<string>) {
    this.#seldom = seldom;
    this.#random = random;
    this.#heard = heard;
    this.#breaks = breaks;
  }

  message(schema: DescMessage, depth: number): Message {
    const values: Record<string, unknown> = {};
    for (const member of schema.members) {
      if (member.kind === 'oneof') {
        const often = member.fields.filter(({ name }) => !this.#seldom.has(name));
        const field = this.#pick(often.length > 0 && !this.#chance(50) ? often : member.fields);
        // Nothing set: as of a later version.
        if (this.#chance(20)) continue;
        values[member.localName] = { case: field.localName, value: this.#field(field, depth) };
      } else if (this.#isThere(member)) values[member.localName] = this.#field(member, depth);
    }
    return create(schema, values as never) as Message;
  }

  #isThere(field: DescField): boolean {
    if (field.fieldKind !== 'message') return !this.#chance(8);
    return rulesOf(field)?.required ? !this.#broken() : !this.#chance(4);
  }

  #field(field: DescField, depth: number): unknown {
    const rules = rulesOf(field);
    switch (field.fieldKind) {
      case 'scalar':
        return this.#scalar(field.name, field.scalar, rules);
      case 'enum':
        return this.#enum(field.enum, rules);
      case 'message':
        return this.message(field.message, depth + 1);
      case 'list': {
        const most = rules?.type.case === 'repeated' ? Number(rules.type.value.maxItems) : 16;
        const count =
          this.#broken() && most < 4_096 ? most + 1 : this.#upTo(Math.min(most, depth > 1 ? 3 : 6));
        return Array.from({ length: depth > DEPTH ? 0 : count }, () =>
          field.message !== undefined
            ? this.message(field.message, depth + 1)
            : field.enum !== undefined
              ? this.#enum(field.enum, undefined)
              : this.#scalar(field.name, field.scalar, itemsOf(rules)),
        );
      }
      case 'map':
        return Object.fromEntries(Array.from({ length: this.#upTo(3) }, (_, i) => [`k${i}`, zeroOf(field)]));
    }
  }

  #enum({ values }: DescEnum, rules: FieldRules | undefined): number {
    if (this.#broken()) return this.#pick([0, -1, 99, 2 ** 31 - 1]);
    const notIn = rules?.type.case === 'enum' ? rules.type.value.notIn : [];
    return this.#pick(values.filter(({ number }) => !notIn.includes(number))).number;
  }

  #scalar(name: string, type: ScalarType, rules: FieldRules | undefined): unknown {
    const heard = this.#heard.of(name).filter((value) => typeof value === typeof scalarZero(type));
    if (heard.length > 0 && !this.#chance(3)) return this.#pick(heard);
    switch (type) {
      case ScalarType.BOOL:
        return this.#chance(2);
      case ScalarType.STRING: {
        const most = rules?.type.case === 'string' ? Number(rules.type.value.maxLen) : 100;
        if (this.#broken()) return this.#pick([...TEXTS, 'x'.repeat(Math.min(most, 1 << 16) + 1)]);
        const text = this.#pick(['a', 'fuzz', 'node1', 'fuzz/a', 'x'.repeat(Math.min(most, 300))]);
        return text.slice(0, most);
      }
      case ScalarType.BYTES: {
        const { maxLen = 64n, minLen = 0n } = rules?.type.case === 'bytes' ? rules.type.value : {};
        const length = this.#broken()
          ? this.#pick([0, 1, 4095, Number(maxLen) + 1])
          : this.#size(Number(maxLen));
        return new Uint8Array(Math.max(Math.min(length, 1 << 17), Number(minLen))).fill(this.#upTo(255));
      }
      case ScalarType.DOUBLE:
        return this.#pick([0, -1, 1e308, Number.NaN, Number.POSITIVE_INFINITY]);
      case ScalarType.UINT32:
      case ScalarType.FIXED32:
      case ScalarType.INT32: {
        const [least, most] = rangeOf(rules, 0, type === ScalarType.INT32 ? 2 ** 31 - 1 : 2 ** 32 - 1);
        if (this.#broken()) return this.#pick(type === ScalarType.INT32 ? [-1, 2 ** 31 - 1] : U32);
        return this.#chance(2)
          ? Math.max(least, this.#upTo(Math.min(most, 8)))
          : this.#pick(U32.filter((value) => value >= least && value <= most));
      }
      default: {
        const signed = type === ScalarType.SINT64 || type === ScalarType.INT64;
        const [least, most] = rangeOf(
          rules,
          signed ? -(1n << 63n) : 0n,
          signed ? (1n << 63n) - 1n : (1n << 64n) - 1n,
        );
        const all = signed ? U64.map((value) => BigInt.asIntN(64, value)).concat(-1n, -4096n) : U64;
        if (this.#broken()) return this.#pick(all);
        if (this.#chance(2)) return BigInt(this.#upTo(8)) * (this.#chance(2) ? 4096n : 1n);
        return this.#pick(all.filter((value) => value >= least && value <= most));
      }
    }
  }

  #size(most: number): number {
    return this.#pick(
      [0, 1, 16, 64, 4096, this.#chance(20) ? most : 8].filter((size) => size <= Math.min(most, 1 << 17)),
    );
  }

  #broken(): boolean {
    return this.#breaks && this.#chance(4);
  }

  #chance(one: number): boolean {
    return this.#random.nextInt(1, one) === 1;
  }

  #upTo(most: number): number {
    return this.#random.nextInt(0, Math.max(0, most));
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.nextInt(0, from.length - 1)]!;
  }
}

const rulesOf = (field: DescField): FieldRules | undefined =>
  hasOption(field, fieldOption) ? getOption(field, fieldOption) : undefined;

const itemsOf = (rules: FieldRules | undefined): FieldRules | undefined =>
  rules?.type.case === 'repeated' ? rules.type.value.items : undefined;

function rangeOf<T extends number | bigint>(rules: FieldRules | undefined, least: T, most: T): [T, T] {
  const value = rules?.type.value as { lessThan?: { value?: T }; greaterThan?: { value?: T } } | undefined;
  return [value?.greaterThan?.value ?? least, value?.lessThan?.value ?? most];
}

/** Of its type; fields of one name may have several. */
function scalarZero(type: ScalarType): unknown {
  if (type === ScalarType.STRING) return '';
  if (type === ScalarType.BYTES) return new Uint8Array();
  if (type === ScalarType.BOOL) return false;
  const small = [ScalarType.UINT32, ScalarType.INT32, ScalarType.DOUBLE];
  return small.includes(type) ? 0 : 0n;
}

function zeroOf(field: DescField & { fieldKind: 'map' }): unknown {
  if (field.message !== undefined) return create(field.message);
  return field.scalar === ScalarType.STRING ? 'v' : field.scalar === ScalarType.UINT64 ? 1n : 0;
}
