// The line to another router, whichever of the two opened it. Each side says first who it is; from then on the line is a
// link of the routes, and an endpoint of the router.
//
//     opened --hello--> up --the stream breaks, a rule is broken, silence--> over
import type { Frame } from '@odonata/proto/syslink/v1/syslink';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { ANYONE, type Caller, shownCaller, speaksFor } from '@odonata/rpc/identity/identity.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import type { FrameStream } from '@odonata/rpc/syslink/frames/frame-stream.ts';
import { Outbox } from '@odonata/rpc/syslink/outbox.ts';
import { agreeOnWire, wireSpoken } from '@odonata/rpc/wire-version.ts';
import type { Connection } from '../registry.ts';

const HELLO_MS = 5_000;

/** What a line tells whoever has it. */
export interface PeerLineEvents {
  /** The other side has said who it is. @throws RpcError why it is not wanted */
  up(line: PeerLine): void;
  received(line: PeerLine, frame: Frame): void;
  /** Once, also for a line that was never up. */
  over(line: PeerLine): void;
}

export interface PeerLineOptions {
  readonly number: number;
  /** We. */
  readonly us: { readonly router: number; readonly name: string };
  readonly stream: FrameStream;
  /** Ends the stream. */
  readonly fail: (error: RpcError) => void;
  readonly dialled: boolean;
  /** By their certificate; that of a router that we dialled was looked at by TLS. */
  readonly caller: Caller;
  /** For people. */
  readonly address: string;
  readonly log: Logger;
  readonly events: PeerLineEvents;
}

export class PeerLine {
  readonly number: number;
  readonly dialled: boolean;
  readonly connection: Connection;
  readonly #options: PeerLineOptions;
  readonly #outbox: Outbox;
  readonly #helloTimer: NodeJS.Timeout;
  readonly #ended = Promise.withResolvers<void>();
  #state: 'opened' | 'up' | 'over' = 'opened';
  /** The number of the other router; 0 before it has said so. */
  neighbour = 0;
  name = '';
  wasUp = false;

  constructor(options: PeerLineOptions) {
    const { number, us, stream, dialled, caller } = options;
    this.number = number;
    this.dialled = dialled;
    this.#options = options;
    const outbox = new Outbox(stream, (error) => this.end(error));
    this.#outbox = outbox;
    this.connection = {
      caller,
      send: (frame, sent) => outbox.send(frame, sent),
      get waitingBytes() {
        return outbox.waitingBytes;
      },
      end: (error) => this.end(error),
    };
    const silent = new RpcError(Code.Unavailable, `no word of who it is in ${HELLO_MS} ms`);
    this.#helloTimer = setTimeout(
      ownTurn({ timer: 'hello' }, () => this.end(silent)),
      HELLO_MS,
    );
    outbox.send(frame({ case: 'peerHello', value: { ...us, wire: wireSpoken() } }));
  }

  /** Resolves when it is over. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  receive(frames: readonly Frame[]): void {
    try {
      for (const received of frames) {
        if (this.#state === 'over') return;
        if (this.#state === 'opened') this.#greet(received);
        else this.#options.events.received(this, received);
      }
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      this.end(error);
    }
  }

  /** @throws RpcError */
  #greet({ frame }: Frame): void {
    const { caller, events, log, address } = this.#options;
    if (frame.case !== 'peerHello')
      throw new RpcError(Code.InvalidArgument, 'the first frame must say which router it is');
    const { router, name, wire } = frame.value;
    agreeOnWire(`syslinkd at ${address}`, wire, 'syslinkd');
    if (caller !== ANYONE && !this.dialled && !speaksFor(caller, name))
      throw new RpcError(Code.PermissionDenied, `${shownCaller(caller)} may not speak for router "${name}"`);
    this.neighbour = router;
    this.name = name;
    events.up(this);
    clearTimeout(this.#helloTimer);
    this.#state = 'up';
    this.wasUp = true;
    log.info({ router: name, address }, 'the line to another router is up');
  }

  /** Sends what waits, and ends it. */
  end(error: RpcError): void {
    if (this.#state === 'over') return;
    this.#outbox.flushAll();
    this.lost(error);
    this.#options.fail(error);
  }

  /** The stream is over. */
  lost(error: unknown): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    clearTimeout(this.#helloTimer);
    this.#outbox.close();
    const { log, address, events } = this.#options;
    const reason = fromServiceError(error).details;
    if (this.wasUp) log.warn({ router: this.name, address, reason }, 'the line to another router is over');
    else log.debug({ address, reason }, 'no line to another router');
    events.over(this);
    this.#ended.resolve();
  }
}
