// Who may log in, and as whom. By a token: the person whose console it is made it for this console (vkctl console,
// vkctl token), and is shown what the console's own identity may see. By a certificate: somebody gives the context that
// `vkctl user add` made for them, and is shown what *they* may see; their key lies in a folder of this process until their
// last session ends.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Role } from '@odonata/proto/auth/v1/access';
import { formatIdentity, nameOfRole } from '@odonata/rpc/identity/identity.ts';
import { ownFolder } from '@odonata/rpc/identity/own.ts';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { readToken } from '@odonata/rpc/identity/token.ts';
import { z } from 'zod';

const pem = z
  .string()
  .max(24 * 1024)
  .includes('-----BEGIN ');
/** A context as `vkctl user add` writes it: where its routers are does not count here. */
const context = z.object({ certificate: pem, key: pem, authority: pem });
export const loginSchema = z.union([
  z.strictObject({
    token: z
      .string()
      .min(1)
      .max(8 * 1024),
  }),
  z.strictObject({ context: context }),
  z.strictObject({}),
]);
export type Login = z.infer<typeof loginSchema>;

export interface Entrant {
  /** Undefined: the console's own. */
  readonly folder: TlsFolder | undefined;
  readonly who: string;
  readonly role: string;
  readonly untilMs: number;
  /** Removes what was written for it. */
  readonly forget: () => void;
}

const PEOPLE: ReadonlySet<Role> = new Set([Role.ADMIN, Role.OPERATOR, Role.USER, Role.VIEWER]);
/** Of tokens that were used; each is forgotten when it is over. */
const USED_MAX = 1_024;

/** Why somebody is not let in, for them to read. */
export class LoginRefusal extends Error {}

export class Logins {
  readonly #audiences: ReadonlySet<string>;
  /** By what their makers signed: a signature can be written, and made, in more than one way. */
  readonly #used = new Map<string, number>();

  /** @param audiences the addresses that tokens may be for */
  constructor(audiences: readonly string[]) {
    this.#audiences = new Set(audiences);
  }

  /** @throws LoginRefusal */
  enter(login: Login, nowMs: number): Entrant {
    if ('token' in login) return this.#byToken(login.token, nowMs);
    if ('context' in login) return byContext(login.context, nowMs);
    if (ownFolder() !== undefined) throw new LoginRefusal('give a token, or a context file');
    const forget = () => {};
    return { folder: undefined, who: 'anyone', role: 'admin', untilMs: Number.POSITIVE_INFINITY, forget };
  }

  #byToken(token: string, nowMs: number): Entrant {
    const own = ownFolder();
    if (own === undefined) throw new LoginRefusal('this console has no identity: log in by a context file');
    for (const [key, untilMs] of this.#used) if (untilMs < nowMs) this.#used.delete(key);
    const signed = token.slice(0, token.lastIndexOf('.'));
    if (this.#used.has(signed) || this.#used.size >= USED_MAX)
      throw new LoginRefusal('the token was used already; make another one');
    let read: ReturnType<typeof readToken>;
    try {
      read = readToken(token, own.identity, this.#audiences, nowMs);
    } catch (error) {
      throw new LoginRefusal(error instanceof Error ? error.message : 'the token is of no use');
    }
    const mine = own.identity.caller;
    if (formatIdentity(read.caller) !== formatIdentity(mine))
      throw new LoginRefusal(
        'the token is of somebody else than whose console this is: use your context file',
      );
    this.#used.set(signed, read.untilMs);
    const untilMs = own.identity.certificate.validToDate.getTime();
    return { folder: own, ...shown(own), untilMs, forget: () => {} };
  }
}

function byContext({ certificate, key, authority }: z.infer<typeof context>, nowMs: number): Entrant {
  const dir = mkdtempSync(join(tmpdir(), 'odonata-console-'));
  const forget = () => rmSync(dir, { recursive: true, force: true });
  try {
    // Whom the cluster's own authority vouches for is not for a visitor to say.
    const ca = ownFolder()?.identity.authorityPem ?? authority;
    const write = (name: string, data: string | Buffer) =>
      writeFileSync(join(dir, name), data, { mode: 0o600 });
    write('tls.crt', certificate);
    write('tls.key', key);
    write('ca.crt', ca);
    const folder = new TlsFolder(dir);
    const { caller, certificate: own } = folder.identity;
    if (!PEOPLE.has(caller.role)) throw new Error('it is the certificate of a service, not of a person');
    const untilMs = own.validToDate.getTime();
    if (untilMs <= nowMs) throw new Error('the certificate is over');
    return { folder, ...shown(folder), untilMs, forget };
  } catch (error) {
    forget();
    throw new LoginRefusal(`the context: ${error instanceof Error ? error.message : 'it is of no use'}`);
  }
}

function shown({ identity: { caller } }: TlsFolder): { who: string; role: string } {
  return { who: caller.name, role: nameOfRole(caller.role) };
}
