// JSON for programs. docs/scripts.md has the rules:
//
//   - a field has one type, whatever its value: identities of 64 bits are text, all other numbers are numbers, with all digits
//   - bytes are base64; times are ISO 8601 in UTC, or `...Ms` since 1970
//   - what is not known is not there
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { print } from './output.ts';

/** Of 64 bits, and not to be reckoned with: a reader whose numbers are doubles would change them. */
const IDENTITY = /^(id|[a-z]*[iI]ncarnation)$/;

// Of ES2026, and of this Node; TypeScript's library does not have it yet.
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** @param indent 0: in one line */
export function json(value: unknown, indent = 2): string {
  return JSON.stringify(
    value,
    (key, item: unknown) => {
      if (key === '$typeName' || key === '$unknown') return undefined;
      if (typeof item === 'bigint') return IDENTITY.test(key) ? String(item) : rawJSON(String(item));
      if (item instanceof Uint8Array) return Buffer.from(item).toString('base64');
      if (isTimestamp(item)) return timestampDate(item).toISOString();
      return item;
    },
    indent,
  );
}

type Timestamp = Parameters<typeof timestampDate>[0];

const isTimestamp = (item: unknown): item is Timestamp =>
  (item as { $typeName?: string } | null)?.$typeName === 'google.protobuf.Timestamp';

let oneLine = false;

/** From now on each document is one line: of a command that prints one after another. */
export function printLines(): void {
  oneLine = true;
}

/** The answer of a command. */
export const printJson = (value: unknown): void => print(json(value, oneLine ? 0 : 2));
/** One of several. */
export const printJsonLine = (value: unknown): void => print(json(value, 0));
