// Whose dataspaces are, as people write it: an octal mode as of chmod(1), OWNER or OWNER:GROUP.
import type { Dataspace } from '@odonata/proto/coherency/v1/coherency';
import { EXIT, Failure } from './failure.ts';

/** `640` -> 0o640 */
export function parseMode(text: string): number {
  if (/^0?[0246]{3}$/.test(text)) return Number.parseInt(text, 8);
  throw new Failure(`mode ${JSON.stringify(text)}`, {
    fix: 'Use three digits, of the owner, the group and others: 0 nothing, 4 read, 6 read and write, such as 640.',
    exitCode: EXIT.usage,
  });
}

/** `bob`, `bob:physics`, `:physics`, `bob:` (no group); what is not there stays. */
export function parseOwner(text: string): { owner?: string; group?: string } {
  const [owner, group, ...more] = text.split(':');
  if (text === '' || text === ':' || more.length > 0)
    throw new Failure(`owner ${JSON.stringify(text)}`, {
      fix: 'Use OWNER, OWNER:GROUP or :GROUP.',
      exitCode: EXIT.usage,
    });
  return { ...(owner && { owner }), ...(group !== undefined && { group }) };
}

export const shownMode = (mode: number): string => mode.toString(8).padStart(3, '0');
export const shownOwner = ({ owner, group }: Dataspace): string => (group ? `${owner}:${group}` : owner);
