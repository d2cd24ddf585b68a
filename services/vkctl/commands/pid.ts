import { EXIT, Failure } from '../failure.ts';

export function parsePid(text: string): bigint {
  if (/^\d{1,18}$/.test(text) && BigInt(text) > 0n) return BigInt(text);
  throw new Failure(`"${text}" is not a pid`, { fix: 'List them with: vkctl ps -a', exitCode: EXIT.usage });
}
