// The tokens by which machines may join, as far as they are kept: hashes, until when, how often.
//
//   <stateDir>/identity/ca/tokens.json
import { timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type AuthorityPlace, replaceFile } from '../cluster/authority-lock.ts';
import { authorityDir } from '../cluster/certificates.ts';
import { Failure } from '../failure.ts';
import { hashOf, type JoinToken } from './join-token.ts';

const keptSchema = z.object({
  id: z.string(),
  hash: z.string(),
  by: z.string(),
  madeMs: z.number(),
  untilMs: z.number(),
  usesLeft: z.number().int().min(0),
});
export type KeptToken = z.infer<typeof keptSchema>;

/** So many at a time. */
export const TOKENS_MAX = 100;
/** What is over is remembered for so long: whoever comes with it is told why it does not count. */
const REMEMBER_MS = 24 * 3_600_000;

export type TokenTrouble = 'TOKEN_UNKNOWN' | 'TOKEN_OVER' | 'TOKEN_USED';

export class TokenBook {
  readonly #file: string;
  #tokens: KeptToken[];

  /** @throws Error for a file that holds something else */
  constructor(plan: Pick<AuthorityPlace, 'stateDir'>) {
    this.#file = join(authorityDir(plan), 'tokens.json');
    this.#tokens = existsSync(this.#file)
      ? z.array(keptSchema).parse(JSON.parse(readFileSync(this.#file, 'utf8')))
      : [];
  }

  /** That still let somebody in, the oldest first. */
  list(nowMs: number): KeptToken[] {
    return this.#tokens.filter(({ untilMs, usesLeft }) => untilMs > nowMs && usesLeft > 0);
  }

  /** @throws Failure where there are too many */
  add({ id, secret }: JoinToken, about: Omit<KeptToken, 'id' | 'hash'>): KeptToken {
    if (this.list(about.madeMs).length >= TOKENS_MAX)
      throw new Failure(`there are ${TOKENS_MAX} tokens already`, {
        fix: 'Take some back: vkctl node token rm ID',
      });
    const kept = { id, hash: hashOf(secret), ...about };
    const recent = this.#tokens.filter(({ untilMs }) => untilMs + REMEMBER_MS > about.madeMs);
    // Of those that are over only so many are remembered.
    const over = recent.filter((each) => !this.list(about.madeMs).includes(each)).slice(-TOKENS_MAX);
    this.#save([...over, ...this.list(about.madeMs), kept]);
    return kept;
  }

  /** False where there is none of that id. */
  revoke(id: string): boolean {
    const rest = this.#tokens.filter((each) => each.id !== id);
    if (rest.length === this.#tokens.length) return false;
    this.#save(rest);
    return true;
  }

  /** Why somebody with this may not come in; undefined: they may. Only who has the secret hears more than that it is unknown. */
  troubleOf(id: string, secret: string, nowMs: number): TokenTrouble | undefined {
    const token = this.#find(id, secret);
    if (token === undefined) return 'TOKEN_UNKNOWN';
    if (token.untilMs <= nowMs) return 'TOKEN_OVER';
    return token.usesLeft > 0 ? undefined : 'TOKEN_USED';
  }

  /** True for whoever has one that counts, or did before it was used. */
  isHolder = (id: string, secret: string): boolean => this.#find(id, secret) !== undefined;

  /** Written before anybody is let in by it: no fall of the machine gives it back. */
  use(id: string): void {
    this.#save(
      this.#tokens.map((each) => (each.id === id ? { ...each, usesLeft: each.usesLeft - 1 } : each)),
    );
  }

  #find(id: string, secret: string): KeptToken | undefined {
    const hash = Buffer.from(hashOf(secret), 'hex');
    const token = this.#tokens.find((each) => each.id === id);
    return token !== undefined && timingSafeEqual(Buffer.from(token.hash, 'hex'), hash) ? token : undefined;
  }

  #save(tokens: KeptToken[]): void {
    replaceFile(this.#file, `${JSON.stringify(tokens, undefined, 2)}\n`, { lasting: true });
    this.#tokens = tokens;
  }
}
