import { renameSync, writeFileSync } from 'node:fs';

/** Whoever reads meanwhile finds the old or the new one. @throws Error of the system */
export function replaceJson(file: string, value: unknown): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(value)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
