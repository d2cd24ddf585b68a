// The way to the door of a cluster, by HTTPS. Who answers is known by the authority: at first by the hash in the token, before
// anything is told; from then on by its certificate, which the machine keeps.
import { X509Certificate } from 'node:crypto';
import { Agent, request } from 'node:https';
import { connect } from 'node:net';
import { type DetailedPeerCertificate, connect as tlsConnect } from 'node:tls';
import { Role } from '@odonata/proto/auth/v1/access';
import { splitAddress } from '@odonata/rpc/address.ts';
import { identityOf, parsedCertificate } from '@odonata/rpc/identity/certificate.ts';
import type { z } from 'zod';
import { LOOPBACK } from '../cluster/hosts.ts';
import { pinOf } from '../door/join-token.ts';
import { BODY_BYTES_MAX, DoorRefusal, refusalAnswer } from '../door/messages.ts';
import { Failure, reasonOf } from '../failure.ts';

const ANSWER_MS = 10_000;
/** A chain of certificates is not longer. */
const CHAIN_MAX = 4;
const SERVER_NAME = 'odonata';

/** Nobody answered, or not what a door answers; it may be tried again. */
export class NoAnswer extends Error {}

/**
 * The certificate of the authority of whoever answers there. Nothing is told to them.
 * @param pin its hash, which the token carries
 * @throws Failure where somebody else answers, NoAnswer
 */
export async function authorityAt(address: string, pin: string): Promise<string> {
  const chain = await chainAt(address);
  const authority = chain.find((raw) => pinOf(raw) === pin);
  if (authority === undefined)
    throw new Failure(
      `at ${address} answers another cluster than the token is of, or somebody in between; nothing was told to them`,
      { fix: 'Compare the address with the one that "vkctl node token add" printed.' },
    );
  const certificate = new X509Certificate(authority);
  const { validFromDate, validToDate } = certificate;
  const now = new Date();
  if (now < validFromDate || now > validToDate)
    throw new Failure(
      `the clock of this machine says ${now.toISOString()}, and the certificate of the cluster counts from ` +
        `${validFromDate.toISOString()} to ${validToDate.toISOString()}`,
      { fix: 'Set the clocks of both machines (NTP), and join again.' },
    );
  return certificate.toString();
}

/** Of this machine, as the connection to there has it. @throws NoAnswer */
export async function ownAddressTowards(address: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(splitAddress(address));
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer in time')));
  socket.once('error', (error) => reject(noAnswer(address, error)));
  socket.once('connect', () => resolve(socket.localAddress ?? LOOPBACK));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

async function chainAt(address: string): Promise<Buffer[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer[]>();
  // Who it is follows from the chain itself: it is not trusted, and no more than looked at.
  const socket = tlsConnect({ ...splitAddress(address), servername: SERVER_NAME, rejectUnauthorized: false });
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer in time')));
  socket.once('error', (error) => reject(noAnswer(address, error)));
  socket.once('secureConnect', () => resolve(rawOf(socket.getPeerCertificate(true))));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

function rawOf(first: DetailedPeerCertificate): Buffer[] {
  const chain: Buffer[] = [];
  let each: DetailedPeerCertificate | undefined = first;
  while (each?.raw !== undefined && chain.length < CHAIN_MAX) {
    chain.push(each.raw);
    if (each.issuerCertificate === each) break;
    each = each.issuerCertificate;
  }
  return chain;
}

function noAnswer(address: string, error: unknown): NoAnswer {
  const { code, message } = error as NodeJS.ErrnoException;
  const isTls = /^ERR_SSL|EPROTO/.test(code ?? '');
  const why = isTls ? 'who answers there is no door of a cluster' : code ? reasonOf(error) : message;
  return new NoAnswer(`${address} does not answer: ${why}`, { cause: error });
}

export interface DoorClientOptions {
  /** host:port */
  readonly address: string;
  /** Certificate of the authority. */
  readonly ca: string;
  /** Who we are; none: somebody who joins. */
  readonly identity?: { readonly cert: Buffer; readonly key: Buffer } | undefined;
}

export class DoorClient {
  readonly #o: DoorClientOptions;
  readonly #agent: Agent;

  constructor(options: DoorClientOptions) {
    this.#o = options;
    const { ca, identity = {} } = options;
    this.#agent = new Agent({
      ...{ keepAlive: true, maxSockets: 1, ca, ...identity, minVersion: 'TLSv1.3', servername: SERVER_NAME },
      checkServerIdentity: (_, { raw }) => whyNotDoor(raw),
    });
  }

  /** @throws DoorRefusal, NoAnswer */
  async post<T>(path: string, body: object, schema: z.ZodType<T>): Promise<T> {
    const { status, text } = await this.#ask(path, Buffer.from(JSON.stringify(body)));
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new NoAnswer(`${this.#o.address} answers something that no door answers`);
    }
    if (status !== 200) {
      const refused = refusalAnswer.safeParse(value);
      if (refused.success) throw new DoorRefusal(refused.data.error, refused.data.text);
    }
    const parsed = schema.safeParse(value);
    if (status === 200 && parsed.success) return parsed.data;
    throw new NoAnswer(`${this.#o.address} answers something that this release does not understand`);
  }

  close(): void {
    this.#agent.destroy();
  }

  #ask(path: string, body: Buffer): Promise<{ status: number; text: string }> {
    const { address } = this.#o;
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const { host, port } = splitAddress(address);
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const fail = (error: unknown) => reject(noAnswer(address, error));
    const call = request({ agent: this.#agent, host, port, path, method: 'POST', headers });
    const late = setTimeout(() => call.destroy(new Error('no answer in time')), ANSWER_MS);
    call.once('close', () => clearTimeout(late));
    call.once('error', fail);
    call.once('response', (answer) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      answer.on('data', (part: Buffer) => {
        bytes += part.length;
        if (bytes > BODY_BYTES_MAX) call.destroy(new Error('its answer is too long'));
        else parts.push(part);
      });
      answer.once('error', fail);
      answer.once('end', () =>
        resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }),
      );
    });
    call.end(body);
    return promise;
  }
}

/** The authority has been checked by then. */
function whyNotDoor(raw: Buffer): Error | undefined {
  const caller = identityOf(parsedCertificate(raw));
  return caller?.role === Role.DOOR
    ? undefined
    : new Error('it is no door, but another service of the cluster');
}
