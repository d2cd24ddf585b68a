// A property of the protocol that does not hold.
export type Property =
  | 'single writer'
  | 'latest value'
  | 'nothing is silently lost'
  | 'durability'
  | 'lock exclusion'
  | 'lock fairness'
  | 'barrier'
  | 'liveness'
  | 'bounded queues'
  | 'assertion';

export class Violation extends Error {
  readonly property: Property;
  /** The page concerned: its number over all dataspaces. */
  readonly page: number | undefined;

  constructor(property: Property, page: number | undefined, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Violation';
    this.property = property;
    this.page = page;
  }
}

/** @throws Violation when it does not hold. */
export function check(
  holds: boolean,
  property: Property,
  page: number | undefined,
  message: () => string,
): asserts holds {
  if (!holds) throw new Violation(property, page, message());
}
