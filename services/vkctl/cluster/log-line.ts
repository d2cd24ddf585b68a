// What a log says last.
import { readFileSync } from 'node:fs';

/** The last line of a log that says something: the message where it is JSON, the error above a stack. */
export function lastLine(file: string): string {
  const text = readIfThere(file);
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const line =
    lines.findLast((each) => /^\{.*\}$|^\S*(Error|error)\b/.test(each)) ?? lines.at(-1) ?? '(no log)';
  try {
    const { msg, err } = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    const said = err?.message !== undefined && msg?.includes(err.message) ? [msg] : [msg, err?.message];
    return said.filter(Boolean).join(': ') || line;
  } catch {
    return line;
  }
}

export function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
