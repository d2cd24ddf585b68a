// The token by which a machine joins, as text: what it says is all that a machine needs beside an address.
//
//   odo1.BASE64URL of: 2 port of the door | 6 id | 20 secret | 32 SHA-256 of the authority's certificate | 4 check
//
// The check finds what was typed wrong; the hash is why a machine knows to whom it speaks before it says anything secret.
import { createHash, randomBytes } from 'node:crypto';

const PREFIX = 'odo1.';
const ID_BYTES = 6;
const SECRET_BYTES = 20;
const PIN_BYTES = 32;
const CHECK_BYTES = 4;
const BODY_BYTES = 2 + ID_BYTES + SECRET_BYTES + PIN_BYTES;

export interface JoinToken {
  readonly port: number;
  /** Hex; not secret. */
  readonly id: string;
  /** Base64url. */
  readonly secret: string;
  /** SHA-256 of the certificate of the authority, hex. */
  readonly pin: string;
}

export const newJoinToken = (port: number, pin: string): JoinToken => ({
  ...{ port, pin },
  id: randomBytes(ID_BYTES).toString('hex'),
  secret: randomBytes(SECRET_BYTES).toString('base64url'),
});

const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest();

/** What is kept of a secret: it is random, and too long to be guessed from that. */
export const hashOf = (secret: string): string => sha256(Buffer.from(secret, 'base64url')).toString('hex');

/** @param der of the certificate of an authority */
export const pinOf = (der: Uint8Array): string => sha256(der).toString('hex');

export function formatJoinToken({ port, id, secret, pin }: JoinToken): string {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(port);
  const body = Buffer.concat([
    ...[head, Buffer.from(id, 'hex'), Buffer.from(secret, 'base64url'), Buffer.from(pin, 'hex')],
  ]);
  return PREFIX + Buffer.concat([body, sha256(body).subarray(0, CHECK_BYTES)]).toString('base64url');
}

/** Undefined where it is none, or not whole. */
export function parseJoinToken(text: string): JoinToken | undefined {
  if (!text.startsWith(PREFIX) || !/^[A-Za-z0-9_-]+$/.test(text.slice(PREFIX.length))) return undefined;
  const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url');
  // One text a token: bits that say nothing are 0.
  if (bytes.length !== BODY_BYTES + CHECK_BYTES || PREFIX + bytes.toString('base64url') !== text)
    return undefined;
  const body = bytes.subarray(0, BODY_BYTES);
  if (!sha256(body).subarray(0, CHECK_BYTES).equals(bytes.subarray(BODY_BYTES))) return undefined;
  const secretAt = 2 + ID_BYTES;
  return {
    port: body.readUInt16BE(0),
    id: body.toString('hex', 2, secretAt),
    secret: body.toString('base64url', secretAt, secretAt + SECRET_BYTES),
    pin: body.toString('hex', secretAt + SECRET_BYTES),
  };
}
