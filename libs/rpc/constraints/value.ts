// Checks of single values, made of the rules of one field. What a value is called is told by whoever has the field.
import type { DescEnum } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import type { BytesRules, EnumRules, FieldRules, StringRules } from '@odonata/proto/buf/validate';

/** The text of what is wrong; undefined: nothing. */
export type ValueCheck = (value: never) => string | undefined;

/** One class of characters, any number of times: what takes time in proportion to the text, and no more. */
const LINEAR = /^\^(?:\[[^\]]+\]|\\[pP]\{\w+\})[*+]\$$/;
const SHOWN = 40;

/** The check of a scalar by its rules; undefined: any value will do. @throws Error for a rule that is not known here */
export function scalarCheck(type: ScalarType, rules: FieldRules | undefined): ValueCheck | undefined {
  if (rules === undefined || rules.type.case === undefined) return undefined;
  const { value } = rules.type;
  switch (rules.type.case) {
    case 'string':
      expectType(type === ScalarType.STRING);
      return stringCheck(value as StringRules);
    case 'bytes':
      expectType(type === ScalarType.BYTES);
      return bytesCheck(value as BytesRules);
    case 'int32':
    case 'uint32':
    case 'uint64':
    case 'sint64':
      return rangeCheck(value as Range);
    default:
      throw new Error(`bug: rules of ${rules.type.case} at a scalar`);
  }
}

function expectType(fits: boolean): void {
  if (!fits) throw new Error('bug: rules of another type');
}

interface Range {
  readonly lessThan: { readonly value?: number | bigint | undefined };
  readonly greaterThan: { readonly value?: number | bigint | undefined };
}

function rangeCheck({ lessThan: { value: most }, greaterThan: { value: least } }: Range): ValueCheck {
  if (least === undefined)
    return ((value: bigint) => (value > most! ? `at most ${most}, not ${value}` : undefined)) as ValueCheck;
  return ((value: bigint) => {
    if (value < least) return `at least ${least}, not ${value}`;
    return most !== undefined && value > most ? `at most ${most}, not ${value}` : undefined;
  }) as ValueCheck;
}

function stringCheck({ minLen, maxLen, pattern: source }: StringRules): ValueCheck {
  const least = Number(minLen);
  const most = maxLen === 0n ? Number.POSITIVE_INFINITY : Number(maxLen);
  if (source !== '' && !LINEAR.test(source)) throw new Error(`bug: pattern ${source} is not linear`);
  const pattern = source === '' ? undefined : new RegExp(source, 'u');
  return ((text: string) => {
    if (text.length < least) return least === 1 ? 'missing' : `at least ${least} characters`;
    // Characters are code points: no more of them than units.
    if (text.length > most && longerThan(text, most)) return `at most ${most} characters, not ${text.length}`;
    if (pattern !== undefined && !pattern.test(text))
      return `${JSON.stringify(text.slice(0, SHOWN))} has characters that are not for names`;
    return undefined;
  }) as ValueCheck;
}

function longerThan(text: string, most: number): boolean {
  if (text.length > 2 * most) return true;
  let points = 0;
  for (const _ of text) points++;
  return points > most;
}

function bytesCheck({ len, minLen, maxLen }: BytesRules): ValueCheck {
  const least = Number(len || minLen);
  const most = Number(len || maxLen) || Number.POSITIVE_INFINITY;
  return (({ length }: Uint8Array) => {
    if (length < least) return `at least ${least} bytes, not ${length}`;
    return length > most ? `at most ${most} bytes, not ${length}` : undefined;
  }) as ValueCheck;
}

export function enumCheck(descriptor: DescEnum, rules: EnumRules | undefined): ValueCheck | undefined {
  if (rules === undefined) return undefined;
  const { definedOnly, notIn } = rules;
  const defined = descriptor.values.map(({ number }) => number);
  const fine = new Set(defined.filter((number) => !notIn.includes(number)));
  const names = descriptor.values.filter(({ number }) => fine.has(number)).map(({ localName }) => localName);
  return ((value: number) => {
    if (fine.has(value) || (!definedOnly && !notIn.includes(value))) return undefined;
    return `${value} is none of ${names.join(', ')}`;
  }) as ValueCheck;
}
