import { Code, RpcError } from '../error.ts';
import { invalidField } from '../refusal.ts';

/** What is wrong with a message: the first thing that was found. */
export interface Violation {
  /** As in the .proto file: `events[3].acquire.mode`. */
  readonly field: string;
  /** `at most 1000, not 4294967295` */
  readonly text: string;
}

/** A message that was refused as it came in: it breaks a constraint, or cannot be read (then `field` is empty). */
export class MessageRefusal extends RpcError {
  readonly field: string;

  constructor(field: string, details: string, options: ConstructorParameters<typeof RpcError>[2] = {}) {
    super(Code.InvalidArgument, details, options);
    this.field = field;
  }
}

/** INVALID_ARGUMENT in one line: the field, what is wrong with it, and the limit. */
export function violationError({ field, text }: Violation): MessageRefusal {
  const { details, more } = invalidField(field, `${field}: ${text}`);
  return new MessageRefusal(field, details, { more });
}

/** What a check of a field or a message says: undefined where nothing is wrong. */
export type Check<T = unknown> = (value: T) => Violation | undefined;

export const inField = (field: string, { field: inner, text }: Violation): Violation => ({
  field: inner === '' || inner.startsWith('[') ? field + inner : `${field}.${inner}`,
  text,
});

export const isViolation = (error: RpcError): boolean =>
  error.code === Code.InvalidArgument && error.detail('google.rpc.BadRequest') !== undefined;
