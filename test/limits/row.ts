// A row of docs/limits.md.

/** `counted`: by which word of `limit_hits_total`, or which event, it is told that it was hit. */
export type Row = readonly [
  of: string,
  what: string,
  most: string,
  otherwise: string,
  setting?: string,
  counted?: string,
];

export const count = (number: number): string => number.toLocaleString('en');

export const size = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let left = bytes;
  for (; left >= 1024 && left % 1024 === 0; left /= 1024) unit++;
  return `${count(left)} ${units[unit]}`;
};

export const EXHAUSTED = 'RESOURCE_EXHAUSTED';
export const INVALID = 'INVALID_ARGUMENT';
