// Who is logged in. A session is known by a secret in a cookie, of which only a hash is kept, and by a
// second one, which no page of another origin (also of another port) can read. All of them end: after a while of rest, and at the latest after a day.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Watch } from './watch.ts';

/** More are refused: a person has some windows, a console some people. */
export const SESSIONS_MAX = 256;
/** As many as all people who may look at a time can have: nobody's keep anybody else out. */
export const SESSIONS_A_PERSON = 16;
const LONGEST_MS = 24 * 60 * 60_000;
export const COOKIE = 'odonata-console';

export interface Session {
  readonly watch: Watch;
  /** Shown with each request. */
  readonly csrf: string;
  readonly endMs: number;
  lastMs: number;
  /** Ends what is open of it. */
  readonly over: AbortController;
  streams: number;
}

const secret = (): string => randomBytes(32).toString('base64url');
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Of any two texts, in a time that says nothing of them. */
export function isSame(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}

export class Sessions {
  readonly #restMs: number;
  readonly #all = new Map<string, Session>();
  readonly #ended: (watch: Watch) => void;

  /** @param ended told of the watch of each session that ends */
  constructor(restMs: number, ended: (watch: Watch) => void) {
    this.#restMs = restMs;
    this.#ended = ended;
  }

  get size(): number {
    return this.#all.size;
  }

  /** @returns the secret for the cookie; undefined: there are too many */
  begin(watch: Watch, untilMs: number, nowMs: number): { cookie: string; session: Session } | undefined {
    this.sweep(nowMs);
    this.#makeRoom(watch);
    if (this.#all.size >= SESSIONS_MAX) return undefined;
    const cookie = secret();
    const session: Session = {
      ...{ watch, csrf: secret(), endMs: Math.min(untilMs, nowMs + LONGEST_MS), lastMs: nowMs },
      ...{ over: new AbortController(), streams: 0 },
    };
    this.#all.set(hashOf(cookie), session);
    return { cookie, session };
  }

  /** Of a person's own, the one that rests longest ends where they begin one more. */
  #makeRoom(watch: Watch): void {
    const theirs = [...this.#all].filter(([, session]) => session.watch === watch);
    if (theirs.length < SESSIONS_A_PERSON) return;
    const [oldest] = theirs.sort(([, a], [, b]) => a.lastMs - b.lastMs);
    this.#end(...oldest!);
  }

  find(cookie: string | undefined, nowMs: number): Session | undefined {
    if (cookie === undefined) return undefined;
    const key = hashOf(cookie);
    const session = this.#all.get(key);
    if (session === undefined) return undefined;
    if (this.#isOver(session, nowMs)) {
      this.#end(key, session);
      return undefined;
    }
    session.lastMs = nowMs;
    return session;
  }

  end(cookie: string | undefined): void {
    const key = hashOf(cookie ?? '');
    const session = this.#all.get(key);
    if (session !== undefined) this.#end(key, session);
  }

  /** Ends those that are over. A page that is open looks at what it shows: that is no rest. */
  sweep(nowMs: number): void {
    for (const [key, session] of this.#all) {
      if (session.streams > 0) session.lastMs = nowMs;
      if (this.#isOver(session, nowMs)) this.#end(key, session);
    }
  }

  endAll(): void {
    for (const [key, session] of this.#all) this.#end(key, session);
  }

  #isOver({ endMs, lastMs, streams, watch }: Session, nowMs: number): boolean {
    return nowMs >= endMs || watch.refused || (streams === 0 && nowMs - lastMs > this.#restMs);
  }

  #end(key: string, session: Session): void {
    this.#all.delete(key);
    session.over.abort();
    this.#ended(session.watch);
  }
}
