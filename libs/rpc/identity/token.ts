// Shows on a unix socket, which has no TLS, who speaks: a JWS (RFC 7515, compact) with the certificate of its maker beside
// it (x5c), signed with the key of that certificate, for one audience and for a while. Node's own cryptography does the
// work; it is done in the same turn, as calls begin in one.
//
//   iss  the identity in the certificate      aud  the sockets that it is for
//   sub  who speaks; the same, or a virtual kernel of the supervisor that made the token
//   iat, exp  seconds                         user, groups  of a virtual kernel: whose it is
//   jti  random: no two tokens are the same, also where they were made in the same second
import { randomBytes, sign, verify, type X509Certificate } from 'node:crypto';
import { Role } from '@odonata/proto/auth/v1/access';
import { z } from 'zod';
import { callerOfUnchecked, unauthenticated } from './caller-of-certificate.ts';
import { parsedCertificate } from './certificate.ts';
import { type Caller, formatIdentity, PERSON, parseIdentity, speaksFor } from './identity.ts';
import type { TlsIdentity } from './tls-folder.ts';

const TOKEN_LIMIT = 8 * 1024;
/** Clocks of one machine are one clock; a little for the rounding to seconds. */
const EARLY_S = 5;
/** Of a token for oneself, which is made anew all the time; that of a virtual kernel lives as long as its supervisor's certificate. */
export const LIFE_MAX_MS = 10 * 60_000;

const headerSchema = z.object({
  alg: z.enum(['ES256', 'RS256', 'EdDSA']),
  x5c: z.array(z.string().max(TOKEN_LIMIT)).min(1).max(4),
});
const payloadSchema = z.object({
  iss: z.string().max(512),
  sub: z.string().max(512),
  aud: z.array(z.string().max(256)).min(1).max(8),
  iat: z.number(),
  exp: z.number(),
  user: z.string().regex(PERSON).optional(),
  groups: z.array(z.string().regex(PERSON)).max(32).optional(),
});
type Algorithm = z.infer<typeof headerSchema>['alg'];
const ALGORITHM_OF: Record<string, Algorithm> = { ec: 'ES256', rsa: 'RS256', ed25519: 'EdDSA' };

export interface TokenAbout {
  /** Addresses of the servers that it is for. */
  readonly audience: readonly string[];
  readonly nowMs: number;
  readonly lifeMs: number;
  /** Who speaks; the maker unless told otherwise. */
  readonly subject?: Caller;
}

/** @throws Error for a kind of key that cannot be used */
export function makeToken(own: TlsIdentity, { audience, nowMs, lifeMs, subject }: TokenAbout): string {
  const { caller, certificate, key } = own;
  const alg = ALGORITHM_OF[key.asymmetricKeyType ?? ''];
  if (alg === undefined) throw new Error(`tls.key: a key of ${key.asymmetricKeyType}; use EC P-256`);
  const speaker = subject ?? caller;
  const header = { alg, typ: 'JWT', x5c: [certificate.raw.toString('base64')] };
  const payload = {
    ...{ iss: formatIdentity(caller), sub: formatIdentity({ ...speaker, groups: [] }), aud: audience },
    ...{ iat: Math.floor(nowMs / 1000), exp: Math.floor((nowMs + lifeMs) / 1000) },
    jti: randomBytes(9).toString('base64url'),
    ...(subject && { user: subject.user, groups: subject.groups }),
  };
  const signed = `${encoded(header)}.${encoded(payload)}`;
  const signature = sign(digestOf(alg), Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

/**
 * Who shows a token.
 * @param audiences the addresses that this process serves
 * @returns until when it may be believed without another look, too
 * @throws RpcError UNAUTHENTICATED
 */
export function readToken(
  token: string,
  own: TlsIdentity,
  audiences: ReadonlySet<string>,
  nowMs: number,
): { caller: Caller; untilMs: number } {
  if (token.length > TOKEN_LIMIT) throw unauthenticated('the token is too long');
  const [header, payload, signature, ...rest] = token.split('.');
  if (header === undefined || payload === undefined || signature === undefined || rest.length > 0)
    throw unauthenticated('the token is no JWS');
  const { alg, x5c } = decoded(headerSchema, header);
  const said = decoded(payloadSchema, payload);
  const certificate = certificateOf(x5c[0]!);
  const maker = callerOfUnchecked(certificate, own, nowMs);
  const key = certificate.publicKey;
  if (ALGORITHM_OF[key.asymmetricKeyType ?? ''] !== alg)
    throw unauthenticated(`the token says ${alg}, its key is ${key.asymmetricKeyType}`);
  const signed = Buffer.from(`${header}.${payload}`);
  const isRight = verify(
    digestOf(alg),
    signed,
    { key, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  if (!isRight) throw unauthenticated('the signature of the token is wrong');
  if (!said.aud.some((audience) => audiences.has(audience)))
    throw unauthenticated(`the token is for ${said.aud.join(', ')}`);
  const nowS = nowMs / 1000;
  if (said.iat > nowS + EARLY_S || said.exp <= nowS)
    throw unauthenticated('the token is over, or not yet valid');
  if (said.iss !== formatIdentity(maker)) throw unauthenticated('the token is not of its certificate');
  const caller = speakerOf(said, maker);
  if (caller === maker && said.exp - said.iat > LIFE_MAX_MS / 1000)
    throw unauthenticated(`the token is for longer than ${LIFE_MAX_MS / 60_000} minutes`);
  const untilMs = Math.min(said.exp * 1000, certificate.validToDate.getTime());
  return { caller, untilMs };
}

/** The maker, or a virtual kernel of theirs. */
function speakerOf({ sub, user, groups = [] }: z.infer<typeof payloadSchema>, maker: Caller): Caller {
  const speaker = parseIdentity(sub);
  if (speaker === undefined || speaker.cluster !== maker.cluster)
    throw unauthenticated('the token speaks for nobody of this cluster');
  if (speaker.role === maker.role && speaker.name === maker.name) return maker;
  const [node = ''] = speaker.name.split('/');
  const supervises = maker.role === Role.VKERNELD && speaksFor(maker, node);
  if (speaker.role !== Role.VKERNEL || !supervises || user === undefined)
    throw unauthenticated(`${formatIdentity(maker)} may not speak for ${sub}`);
  return { ...speaker, groups, user };
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const digestOf = (alg: Algorithm): string | null => (alg === 'EdDSA' ? null : 'sha256');

function decoded<T>(schema: z.ZodType<T>, part: string): T {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  } catch (error) {
    throw unauthenticated('the token is no JWS', error);
  }
  const result = schema.safeParse(value);
  if (!result.success) throw unauthenticated('the token is no JWS of ours');
  return result.data;
}

function certificateOf(base64: string): X509Certificate {
  try {
    return parsedCertificate(Buffer.from(base64, 'base64'));
  } catch (error) {
    throw unauthenticated('the certificate in the token cannot be read', error);
  }
}
