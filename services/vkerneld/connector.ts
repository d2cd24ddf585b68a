// Makes the connections of programs: a virtual kernel has no network, and gets a descriptor of each. Whom it may not reach it is told,
// and so is whoever looks at events.
import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { close, SystemCallError } from '@odonata/userfault/libc.ts';
import { connectTo, expectConnected, PollEvent, poll } from '@odonata/userfault/sockets.ts';
import type { AllowedConnections } from './allowed-connections.ts';
import type { NamedConnections } from './names/named-connections.ts';
import { NamesAsked } from './names-asked.ts';
import type { Process } from './process-table.ts';
import { connectionLabel } from './vkernel/descriptor-label.ts';
import { Errno, errnoOfHostCode } from './vkernel/wasi/errno.ts';
import { nameOfKey, type VkernelChild } from './vkernel-child.ts';

/** One for each process that a virtual kernel runs: a program waits for its own. */
const UNDER_WAY_MAX = 256;
const CONNECT_MS = 10_000;
const POLL_MS_MAX = 20;
const resolverErrors: Readonly<Record<string, number>> = {
  ENOTFOUND: Errno.hostunreach,
  EAI_AGAIN: Errno.again,
};

export interface ConnectRequest {
  /** Tells it from others of the process. */
  readonly number: number;
  /** HOST:PORT; empty: by name. */
  readonly address: string;
  readonly name?: string;
  readonly timeoutMs?: number;
  readonly listen?: { readonly backlog: number; readonly everyone: boolean } | undefined;
}

const errnoOfName: Partial<Record<Code, number>> = {
  [Code.NotFound]: Errno.connrefused,
  [Code.Unavailable]: Errno.hostunreach,
  [Code.DeadlineExceeded]: Errno.timedout,
};

export class Connector {
  readonly #allowed: AllowedConnections;
  readonly #security: SecurityEvents;
  readonly #log: Logger;
  readonly #names: NamesAsked;
  /** By names of syslink; without it there are none. */
  readonly #named: NamedConnections | undefined;
  /** By virtual kernel. */
  readonly #underWay = new Map<string, number>();

  constructor(options: {
    allowed: AllowedConnections;
    security: SecurityEvents;
    log: Logger;
    names?: NamesAsked;
    named?: NamedConnections;
  }) {
    this.#named = options.named;
    this.#names = options.names ?? new NamesAsked();
    this.#allowed = options.allowed;
    this.#security = options.security;
    this.#log = options.log;
  }

  /** Connects, and answers the virtual kernel. Never fails. */
  async serve(child: VkernelChild, process: Process, request: ConnectRequest): Promise<void> {
    const { pid } = process;
    const { number } = request;
    const count = this.#underWay.get(child.key) ?? 0;
    let fd: number | undefined;
    let errno: number = Errno.success;
    this.#underWay.set(child.key, count + 1);
    try {
      if (count >= UNDER_WAY_MAX) errno = Errno.again;
      else if (request.name) fd = await this.#byName(child, process, request.name, request);
      else fd = await this.#connect(process, request.address);
      if (fd !== undefined) child.sendDescriptor(connectionLabel(pid, number), fd);
    } catch (error) {
      errno = this.#errnoOf(error, process, request);
    } finally {
      if (fd !== undefined) close(fd);
      const left = this.#underWay.get(child.key)! - 1;
      if (left === 0) this.#underWay.delete(child.key);
      else this.#underWay.set(child.key, left);
    }
    try {
      child.send({ case: 'connected', value: { pid, number, errno } });
    } catch (error) {
      this.#log.debug({ err: error, pid }, 'the virtual kernel went away while its program connected');
    }
  }

  async #connect(process: Process, address: string): Promise<number> {
    // A virtual kernel that was taken over asks for programs that it ran before, too: what those were allowed ends with them.
    const goesOn = () => process.state !== ProcessState.ENDING && process.state !== ProcessState.EXITED;
    if (!goesOn()) throw ended();
    const endpoint = this.#allowed.endpointOf(address, process.connect);
    const endMs = performance.now() + CONNECT_MS;
    const host = endpoint.isName ? await inTime(this.#names.addressOf(endpoint.host), endMs) : endpoint.host;
    return connected({ host, port: endpoint.port }, endMs, goesOn);
  }

  async #byName(
    child: VkernelChild,
    process: Process,
    name: string,
    { listen, timeoutMs = 0 }: ConnectRequest,
  ): Promise<number> {
    const goesOn = () => process.state !== ProcessState.ENDING && process.state !== ProcessState.EXITED;
    if (this.#named === undefined || !goesOn()) throw ended();
    const { user, groups } = child.record;
    const asker = { user, groups, key: child.key, vkernel: nameOfKey(child.key) };
    const fd =
      listen === undefined
        ? await this.#named.connect(asker, name, timeoutMs)
        : (await this.#named.listen(asker, { name, ...listen }, process.pid)).fd;
    if (goesOn()) return fd;
    close(fd);
    throw ended();
  }

  #errnoOf(error: unknown, { pid, user }: Process, { name, listen }: ConnectRequest): number {
    if (error instanceof RpcError) {
      if (error.code === Code.InvalidArgument) return Errno.inval;
      if (error.code !== Code.PermissionDenied)
        return (name && listen === undefined && errnoOfName[error.code]) || Errno.again;
      this.#security.refused(
        listen === undefined ? 'connection' : 'listener',
        user,
        `process ${pid} of ${user}: ${error.details}`,
        { user },
      );
      return Errno.acces;
    }
    const code = error instanceof SystemCallError ? error.code : (error as NodeJS.ErrnoException).code;
    const errno = resolverErrors[code ?? ''] ?? errnoOfHostCode[code ?? ''];
    if (errno === undefined) this.#log.warn({ err: error, pid }, 'a connection of a program failed');
    return errno ?? Errno.io;
  }
}

/** A descriptor that is connected. @throws SystemCallError; Error ECONNABORTED as soon as it does not go on, ETIMEDOUT */
async function connected(
  place: { host: string; port: number },
  endMs: number,
  goesOn: () => boolean,
): Promise<number> {
  if (!goesOn()) throw ended();
  const fd = connectTo(place);
  try {
    for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, POLL_MS_MAX)) {
      if (poll([{ fd, events: PollEvent.out }], 0)[0] !== 0) {
        expectConnected(fd);
        return fd;
      }
      if (performance.now() > endMs) throw timedOut();
      await delay(waitMs);
      if (!goesOn()) throw ended();
    }
  } catch (error) {
    close(fd);
    throw error;
  }
}

async function inTime<T>(promise: Promise<T>, endMs: number): Promise<T> {
  const over = new AbortController();
  const late = delay(Math.max(0, endMs - performance.now()), over.signal).then(() => {
    throw timedOut();
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    late.catch(() => {});
    over.abort();
  }
}

const timedOut = (): Error => Object.assign(new Error('connect: ETIMEDOUT'), { code: 'ETIMEDOUT' });
const ended = (): Error => Object.assign(new Error('connect: its program ended'), { code: 'ECONNABORTED' });
