// Numbers as people read them.
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export const PAGE_BYTES = 4_096;

export function bytes(count: number): string {
  let unit = 0;
  let value = count;
  while (value >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024;
    unit++;
  }
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export const count = (value: number): string =>
  value >= 10 || Number.isInteger(value) ? Math.round(value).toLocaleString('en') : value.toFixed(1);

export const micros = (us: number): string =>
  us === 0 ? '-' : us < 1_000 ? `${Math.round(us)} us` : `${(us / 1_000).toFixed(us < 10_000 ? 1 : 0)} ms`;

export const clock = (ms: number): string => new Date(ms).toTimeString().slice(0, 8);

/** Of the node at this place among all: neighbours differ. */
export const hueOf = (at: number): number => Math.round((at * 137.508 + 190) % 360);
