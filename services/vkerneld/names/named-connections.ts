// Connections of programs by name: each is a circuit between two supervisors, with a socket to the program at either end. A virtual
// kernel knows nothing of the other one but bytes. What waits is bounded by the buffers of the sockets and by a window,
// each way (guest-socket.ts); where either end, or what is between, goes away, both programs hear of a reset.
import { type ConnectRequest, PeerService } from '@odonata/proto/vkernel/v1/peer';
import { delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { invalidField, tryAgain } from '@odonata/rpc/refusal.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import { setHint } from '@odonata/rpc/set-hint.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { GuestSocket, type Piece } from './guest-socket.ts';
import { made, type NamedListeners, type OpenNamed } from './named-listeners.ts';
import { fullName, type VkernelNames } from './vkernel-names.ts';

/** Of one virtual kernel, and of all of this node: an endpoint has 1,024 circuits, of which others need some. */
export const CONNECTIONS_OF_VKERNEL = 256;
export const CONNECTIONS_MAX = 768;
const CONNECT_MS = 10_000;
/** Who listened may have ended before the router knew: then it is asked again. */
const ASK_AGAIN_MS = 50;

/** Whose program asks. */
export interface NameAsker {
  readonly user: string;
  readonly groups: readonly string[];
  /** Of its virtual kernel. */
  readonly key: string;
  readonly vkernel: string;
}

export class NamedConnections {
  readonly #node: number;
  readonly #syslink: () => SyslinkEndpoint | undefined;
  readonly #policy: VkernelNames;
  readonly #listeners: NamedListeners;
  readonly #log: Logger;
  /** By virtual kernel: that of who connects, and that of who listens. */
  readonly #open = new Map<string, number>();
  #count = 0;

  constructor(options: {
    node: number;
    syslink: () => SyslinkEndpoint | undefined;
    policy: VkernelNames;
    listeners: NamedListeners;
    log: Logger;
  }) {
    this.#node = options.node;
    this.#syslink = options.syslink;
    this.#policy = options.policy;
    this.#listeners = options.listeners;
    this.#log = options.log;
  }

  openOf(key: string): number {
    return this.#open.get(key) ?? 0;
  }

  /** How many programs listen by. */
  get names(): number {
    return this.#listeners.names;
  }

  /** @throws RpcError INVALID_ARGUMENT, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAVAILABLE */
  async listen(
    asker: NameAsker,
    { name, backlog, everyone }: { name: string; backlog: number; everyone: boolean },
    pid?: bigint,
  ): Promise<OpenNamed> {
    const full = this.expectAllowed(asker, 'listen', name);
    // What is of the cluster is nobody's own.
    const isForAll = everyone || full.startsWith(':');
    return this.#listeners.open(asker, { name: full, backlog, everyone: isForAll }, pid);
  }

  /** The name in full. @throws RpcError INVALID_ARGUMENT, PERMISSION_DENIED */
  expectAllowed({ key, user }: NameAsker, what: 'listen' | 'connect', name: string): string {
    const full = fullName(name, user);
    if (full === undefined)
      throw invalidField(
        'start.listen_on',
        `"${name}" is no name: use NAME of your own, PERSON:NAME, or :NAME of the cluster`,
      );
    if (this.#policy.may(key, user, what, full)) return full;
    const how = what === 'listen' ? 'listen by' : 'connect to';
    throw new RpcError(
      Code.PermissionDenied,
      `programs of virtual kernel ${key} may not ${how} "${full}" (${setHint(key, `--may-${what}`, 'PERSON:NAME')} says which names)`,
    );
  }

  /**
   * The program's end of a connection to whoever listens by a name; whoever has it closes it.
   * @throws RpcError INVALID_ARGUMENT, PERMISSION_DENIED, NOT_FOUND, RESOURCE_EXHAUSTED, UNAVAILABLE, DEADLINE_EXCEEDED
   */
  async connect(asker: NameAsker, name: string, timeoutMs: number): Promise<number> {
    const full = this.expectAllowed(asker, 'connect', name);
    const endMs = performance.now() + (timeoutMs || CONNECT_MS);
    for (;;) {
      try {
        return await this.#connectOnce(asker, full, Math.max(1, endMs - performance.now()));
      } catch (error) {
        if (!RpcError.is(error, Code.Aborted)) throw error;
        if (performance.now() + ASK_AGAIN_MS > endMs) throw new RpcError(Code.NotFound, error.details);
        await delay(ASK_AGAIN_MS);
      }
    }
  }

  async #connectOnce(asker: NameAsker, name: string, leftMs: number): Promise<number> {
    const { key, user, groups, vkernel } = asker;
    const syslink = this.#syslink();
    if (syslink === undefined) throw tryAgain(Code.Unavailable, 'not attached to a router yet');
    const leave = this.#enter(key);
    const over = new AbortController();
    const connected = Promise.withResolvers<GuestSocket | undefined>();
    let isLate = false;
    const late = ownTurn({ timer: 'connect by name', name }, () => {
      isLate = true;
      over.abort();
    });
    const timer = setTimeout(late, leftMs);
    try {
      const start = { asker: { node: this.#node, user, groups: [...groups], vkernel }, name };
      const client = syslink.client(PeerService, { name });
      const requests = requestsOf(start, connected.promise);
      const answers = client
        .connect(requests, { signal: over.signal, lasting: true })
        [Symbol.asyncIterator]();
      const first = await answers.next();
      if (first.done || first.value.event.case !== 'connected')
        throw new RpcError(Code.Internal, `"${name}" was not connected`);
      const [ours, theirs] = made(() => {});
      const socket = new GuestSocket(ours);
      socket.whenClosed(leave);
      connected.resolve(socket);
      void this.#carry(answers, socket, over);
      return theirs;
    } catch (error) {
      connected.resolve(undefined);
      over.abort();
      leave();
      if (isLate) throw new RpcError(Code.DeadlineExceeded, `"${name}" did not answer in time`);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** To the program, until it is over. */
  async #carry(answers: AsyncIterator<Said>, socket: GuestSocket, over: AbortController): Promise<void> {
    try {
      await takeAll(answers, socket);
    } catch (error) {
      this.#log.debug({ err: error }, 'a connection by name is reset');
    }
    socket.reset();
    over.abort();
  }

  /** Connects a program elsewhere with one that listens here. */
  async *serve(requests: AsyncIterable<ConnectRequest>, ctx: CallContext) {
    const iterator = requests[Symbol.asyncIterator]();
    const first = await iterator.next();
    const start = first.done ? undefined : first.value.event;
    if (start?.case !== 'start')
      throw new RpcError(Code.InvalidArgument, 'the first request must be a start');
    const { asker, name } = start.value;
    const user = ctx.scope === 'own' ? ctx.caller.name : asker!.user;
    const socket = this.#listeners.hand(name, user, (key) => this.#enter(key));
    const reset = (): void => socket.reset();
    ctx.signal.addEventListener('abort', reset, { once: true });
    try {
      yield { event: { case: 'connected' as const, value: {} } };
      const taken = takeAll(iterator, socket).catch(reset);
      for await (const event of socket.sent()) yield { event };
      await taken;
    } finally {
      ctx.signal.removeEventListener('abort', reset);
      socket.reset();
    }
  }

  /** @throws RpcError RESOURCE_EXHAUSTED */
  #enter(key: string): () => void {
    const open = this.openOf(key);
    if (this.#count >= CONNECTIONS_MAX || open >= CONNECTIONS_OF_VKERNEL)
      throw tryAgain(
        Code.ResourceExhausted,
        `${open} connections by name are open, ${this.#count} on this node: ${CONNECTIONS_OF_VKERNEL} of a virtual kernel and ${CONNECTIONS_MAX} are the most`,
      );
    this.#open.set(key, open + 1);
    this.#count += 1;
    return () => {
      this.#count -= 1;
      const left = this.openOf(key) - 1;
      if (left > 0) this.#open.set(key, left);
      else this.#open.delete(key);
    };
  }
}

type Start = { asker: { node: number; user: string; groups: string[]; vkernel: string }; name: string };

/** Who connects, then what the program sends. */
async function* requestsOf(start: Start, connected: Promise<GuestSocket | undefined>) {
  yield { event: { case: 'start' as const, value: start } };
  const socket = await connected;
  if (socket !== undefined) for await (const event of socket.sent()) yield { event };
}

const isPiece = (event: { case?: string | undefined; value?: unknown }): event is Piece =>
  event.case === 'data' || event.case === 'end' || event.case === 'taken';

type Said = { event: { case?: string | undefined; value?: unknown } };

/** To a program, until the other end has said all. Where that fails, whoever waits resets the program's end. */
async function takeAll(said: AsyncIterator<Said>, socket: GuestSocket): Promise<void> {
  for (let next = await said.next(); !next.done; next = await said.next()) {
    const { event } = next.value;
    if (isPiece(event)) socket.take(event);
  }
}
