// Names and values as a bucket takes them.
import type { z } from 'zod';

/** Keys allow fewer characters than names. */
export const keyOf = (name: string): string => Buffer.from(name).toString('hex');

export const nameOf = (key: string): string => Buffer.from(key, 'hex').toString();

/** JSON with whole numbers of any size, as text. */
export const storedJson = (value: object): string =>
  JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? each.toString() : each));

/** What a bucket has; undefined: it is of another form, and nobody of ours wrote it. */
export function storedIn<T>(form: z.ZodType<T>, text: string): T | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return form.safeParse(value).data;
}
