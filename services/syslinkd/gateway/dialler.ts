// Keeps a line open to each cluster that the policy has an address of: as soon as one breaks it is opened again, with longer and longer
// waits. One connection, which we open, carries both directions: it works from behind NAT.
import type { X509Certificate } from 'node:crypto';
import * as grpc from '@grpc/grpc-js';
import { GatewayService, type JoinResponse } from '@odonata/proto/gateway/v1/gateway';
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import { hear } from '@odonata/rpc/bug.ts';
import { CHANNEL_OPTIONS } from '@odonata/rpc/channel.ts';
import { openStream } from '@odonata/rpc/client.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { identityOf, parsedCertificate } from '@odonata/rpc/identity/certificate.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { isStrange } from '@odonata/rpc/plain-words.ts';
import { TLS_OPTIONS } from '@odonata/rpc/tls.ts';
import type { BytesStream } from './metered-stream.ts';
import { PinnedAuthorities, whyNotPeer } from './peer-certificate.ts';
import type { Peer, Policy } from './policy.ts';
import type { Sessions } from './sessions.ts';

const AGAIN_MAX_MS = 5_000;
/** A line that is up is looked at so often, whether another one of the same cluster may be needed. */
const LOOK_MS = 200;

export interface DiallerOptions {
  readonly policy: () => Policy;
  readonly folder: TlsFolder;
  readonly sessions: Sessions;
  readonly log: Logger;
}

export class Dialler {
  readonly #o: DiallerOptions;
  /** By cluster and address. */
  readonly #kept = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();

  constructor(options: DiallerOptions) {
    this.#o = options;
  }

  /** Another policy is in force. */
  look(): void {
    const wanted = new Map<string, string>();
    for (const { name, address } of this.#o.policy().peers.values())
      if (address !== undefined) wanted.set(`${name} ${address}`, name);
    for (const [key, abort] of this.#kept) {
      if (wanted.has(key)) continue;
      abort.abort();
      this.#kept.delete(key);
    }
    for (const [key, name] of wanted) {
      if (this.#kept.has(key)) continue;
      const abort = new AbortController();
      this.#kept.set(key, abort);
      const running = this.#keep(name, abort.signal).finally(() => this.#running.delete(running));
      this.#running.add(running);
    }
  }

  async stop(): Promise<void> {
    for (const abort of this.#kept.values()) abort.abort();
    await Promise.all(this.#running);
  }

  async #keep(name: string, signal: AbortSignal): Promise<void> {
    const { sessions, policy } = this.#o;
    const backoff = new Backoff({ firstMs: 100, maxMs: AGAIN_MAX_MS });
    while (!signal.aborted) {
      const peer = policy().peers.get(name);
      if (peer === undefined) return;
      if (sessions.of(name) === undefined && (await this.#dialled(peer, signal))) backoff.reset();
      // Another line of the same cluster may have come first, and be up: then none is dialled.
      await delay(sessions.of(name) === undefined ? backoff.nextDelayMs() : LOOK_MS, signal);
    }
  }

  /** Until the line is over. @returns true: it was up */
  async #dialled(peer: Peer, signal: AbortSignal): Promise<boolean> {
    const { folder, sessions, log } = this.#o;
    const { name, address, authorityPem } = peer;
    let certificate: X509Certificate | undefined;
    const check = (_host: string, { raw }: { raw: Buffer }): Error | undefined => {
      const shown = parsedCertificate(raw);
      const why = whyNotPeer(shown, this.#o.policy().peers.get(name) ?? peer, Date.now());
      if (why !== undefined) {
        sessions.failed(name, why);
        return new Error(why);
      }
      certificate = shown;
      return undefined;
    };
    const certificates = new PinnedAuthorities(() => authorityPem, folder);
    const credentials = grpc.experimental.createCertificateProviderChannelCredentials(
      certificates,
      certificates,
      {
        checkServerIdentity: check,
      },
    );
    const options = { ...CHANNEL_OPTIONS, ...TLS_OPTIONS, 'grpc.use_local_subchannel_pool': 1 };
    const channel = new grpc.Client(address!, credentials, options);
    const stream = openStream(GatewayService.method.join, channel);
    const over = Promise.withResolvers<void>();
    let failure: RpcError | undefined;
    const fail = (error: RpcError): void => {
      failure ??= error;
      stream.cancel();
    };
    const them = () => certificate && identityOf(certificate);
    let wasUp = false;
    try {
      const session = sessions.open({
        ...{ peer: name, dialled: true, fail, them, certificate: () => certificate },
        stream: stream as unknown as BytesStream,
      });
      const leave = () => session.end(new RpcError(Code.Unavailable, 'it is not dialled any more'));
      signal.addEventListener('abort', leave, { once: true });
      stream.on('error', (error) => {
        const said = fromServiceError(error, { path: 'Join', address: address! });
        failure ??= isStrange(said) ? strange(name, address!, said) : said;
      });
      stream.once('status', () => {
        wasUp = session.isUp || session.sinceMs > 0;
        signal.removeEventListener('abort', leave);
        session.lost(failure ?? new RpcError(Code.Unavailable, 'the other gateway ended it'));
        over.resolve();
      });
      hear(stream, log, { peer: name }, ({ frames }: JoinResponse) => session.receive(frames));
      await over.promise;
    } catch (error) {
      stream.on('error', () => {});
      stream.cancel();
      sessions.failed(name, fromServiceError(error).details);
    } finally {
      channel.close();
    }
    return wasUp;
  }
}

const strange = (peer: string, address: string, cause: RpcError): RpcError =>
  new RpcError(
    Code.Unauthenticated,
    `who answers at ${address} has no certificate of the authority that the policy pins for ${peer}`,
    { cause },
  );
