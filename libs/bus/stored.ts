// Names and values as a bucket takes them.

/** Keys allow fewer characters than names. */
export const keyOf = (name: string): string => Buffer.from(name).toString('hex');

export const nameOf = (key: string): string => Buffer.from(key, 'hex').toString();

/** JSON with whole numbers of any size, as text. */
export const storedJson = (value: object): string =>
  JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? each.toString() : each));
