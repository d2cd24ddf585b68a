import { EXIT, Failure } from './failure.ts';

const UNITS: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Bytes of a size as people write it: 4096, 64K, 256M, 1.5GiB. Units are powers of 1024. */
export function parseSize(text: string, what: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  const bytes = match ? Math.round(Number(match[1]) * UNITS[match[2]!.toUpperCase()]!) : Number.NaN;
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new Failure(`${what}: "${text}" is not a size`, {
      fix: 'Write bytes or a unit, as 4096, 64K, 256M, 1G.',
      exitCode: EXIT.usage,
    });
  }
  return bytes;
}

/** A size for people: 1.5 GiB, 64 KiB, 17 B. */
export function formatSize(bytes: number | bigint): string {
  let rest = Number(bytes);
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || Number.isInteger(rest) || rest >= 100 ? 0 : 1;
  return `${rest.toFixed(digits)} ${units[unit]}`;
}

/** A time span for people: 850ms, 12s, 3m05s, 2h10m, 4d03h. */
export function formatSpan(spanMs: number): string {
  if (spanMs < 1000) return `${Math.max(0, Math.round(spanMs))}ms`;
  const seconds = Math.floor(spanMs / 1000);
  const two = (n: number): string => String(n).padStart(2, '0');
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two(Math.floor(seconds / 60) % 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${two(Math.floor(seconds / 3600) % 24)}h`;
}
