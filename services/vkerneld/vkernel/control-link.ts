// The line to the supervisor. It may go away and come back, killed and started again: the virtual kernel goes on
// meanwhile, keeps what it has to tell, and attaches anew. Left alone for too long it ends.

import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type AttachRequestSchema,
  type AttachResponse,
  ControlService,
} from '@odonata/proto/vkernel/v1/vkernel';
import { pathOf } from '@odonata/rpc/address.ts';
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import { openChannel, openStream, type RpcChannel } from '@odonata/rpc/client.ts';
import { Code, fromServiceError, type RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { agreeOnWire, isWireRefusal, wireSpoken } from '@odonata/rpc/wire-version.ts';
import { knock, TOKEN_BYTES } from '@odonata/userfault/descriptor-door.ts';
import { DescriptorReceiver } from '@odonata/userfault/descriptor-line.ts';
import { close } from '@odonata/userfault/libc.ts';
import { connectionLabel, directoryLabel, folderLabel } from './descriptor-label.ts';
import type { KernelEvent } from './kernel.ts';

export interface ControlLinkOptions {
  readonly address: string;
  readonly name: string;
  readonly token: string;
  readonly log: Logger;
  /** Processes that have not ended. */
  readonly pids: () => bigint[];
  readonly onMessage: (message: AttachResponse) => void;
  /** After the first time. */
  readonly onReattached: () => void;
  /** The supervisor stayed away, or does not want this virtual kernel. */
  readonly onAbandoned: (reason: string) => void;
  readonly abandonedAfterMs?: number;
}

/** No less than what the start of Node and of a supervisor's code takes on a machine that does much else. */
const abandonedAfterMs = 30_000;
const connectMaxMs = 1_000;
/** Told to nobody while there is no line: who waits for an answer is told so with the next one, or by time. */
const LOST: ReadonlySet<KernelEvent['case']> = new Set([
  ...(['usage', 'look', 'folderRequest', 'folderResponse', 'snapshot', 'programLooked'] as const),
  // Of ways that are gone with it.
  ...(['inputAsked', 'childClosed', 'childInput', 'childTaken'] as const),
]);
/** A line that held so long counts as one. */
/** For the supervisor to read the last words. */
const READ_MS = 1_000;
const steadyMs = 1_000;

type Request = MessageInitShape<typeof AttachRequestSchema>;

export class ControlLink {
  readonly #options: ControlLinkOptions;
  readonly #closing = new AbortController();
  #stream: { write(request: Request): boolean; end(): void } | undefined;
  /** Of the present line. */
  #directories: DescriptorReceiver | undefined;
  /** While there is no line. Bounded by the processes' credit for output; usage is not kept. */
  #unsent: KernelEvent[] = [];
  #aloneSinceMs = performance.now();
  #attachments = 0;
  readonly #over: Promise<void>;

  constructor(options: ControlLinkOptions) {
    this.#options = options;
    this.#over = this.#keepAttached();
  }

  send(event: KernelEvent): void {
    if (this.#stream !== undefined) this.#stream.write({ event });
    else if (!LOST.has(event.case)) this.#unsent.push(event);
  }

  /** Descriptors of a process that is told to start; the caller closes them. Undefined where one is missing. */
  takeDirectories(pid: bigint, count: number): number[] | undefined {
    const fds: number[] = [];
    for (let i = 0; i < count; i++) {
      const fd = this.#directories?.take(directoryLabel(pid, i));
      if (fd !== undefined) fds.push(fd);
    }
    if (fds.length === count) return fds;
    for (const fd of fds) close(fd);
    return undefined;
  }

  /** The descriptor of a connection that a process asked for; the caller closes it. Undefined: it is not here. */
  takeConnection(pid: bigint, number: number): number | undefined {
    return this.#directories?.take(connectionLabel(pid, number));
  }

  /** The descriptor of a folder that is to be served; the caller closes it. Undefined: it is not here. */
  takeFolder(folder: number): number | undefined {
    return this.#directories?.take(folderLabel(folder));
  }

  /** Attaches no more. Resolves when the supervisor has read what was written, as how the last program ended, or after a moment. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#stream?.end();
    await Promise.race([this.#over, delay(READ_MS)]);
  }

  async #keepAttached(): Promise<void> {
    const { log, onAbandoned } = this.#options;
    const backoff = new Backoff({ firstMs: 20, maxMs: 500 });
    const patienceMs = this.#options.abandonedAfterMs ?? abandonedAfterMs;
    const closing = this.#closing.signal;
    let refusal: string | undefined;
    while (!closing.aborted) {
      const sinceMs = performance.now();
      const error = await this.#attachOnce();
      if (closing.aborted) return;
      const nowMs = performance.now();
      if (isWireRefusal(error) && error.details !== refusal) log.warn(error.details);
      refusal = isWireRefusal(error) ? error.details : undefined;
      if (error.code === Code.PermissionDenied || error.code === Code.Unauthenticated) {
        onAbandoned(`the supervisor refuses it: ${error.message}`);
        return;
      }
      if (nowMs - sinceMs > connectMaxMs + steadyMs) {
        this.#aloneSinceMs = nowMs;
        backoff.reset();
        log.warn({ err: error.message }, 'the supervisor is gone');
      }
      if (nowMs - this.#aloneSinceMs > patienceMs) {
        const why = refusal === undefined ? '' : `: ${refusal}`;
        onAbandoned(`no supervisor for ${Math.round((nowMs - this.#aloneSinceMs) / 1000)} s${why}`);
        return;
      }
      await delay(backoff.nextDelayMs(), closing);
    }
  }

  /** Attaches and stays so; resolves with the end of it. */
  async #attachOnce(): Promise<RpcError> {
    // Of many processes at once it says little, often, while their input comes.
    const channel = openChannel(this.#options.address, { narrow: true });
    try {
      await connected(channel);
      return await this.#attached(channel, this.#knock());
    } catch (error) {
      return fromServiceError(error);
    } finally {
      this.#stream = undefined;
      this.#directories?.close();
      this.#directories = undefined;
      channel.close();
    }
  }

  /** Opens the way of descriptors. @returns the token of it; empty: the supervisor has no door, so no directories come */
  #knock(): Uint8Array {
    const token = randomBytes(TOKEN_BYTES);
    const door = join(dirname(pathOf(this.#options.address)), 'directories.sock');
    try {
      this.#directories = new DescriptorReceiver(knock(door, token));
      return token;
    } catch (error) {
      this.#options.log.debug({ err: error }, 'no way for directories');
      return new Uint8Array();
    }
  }

  #attached(channel: RpcChannel, descriptorToken: Uint8Array): Promise<RpcError> {
    const { name, token, pids, onMessage, onReattached } = this.#options;
    const stream = openStream(ControlService.method.attach, channel);
    return new Promise((resolve) => {
      stream.on('error', (error) => resolve(fromServiceError(error)));
      stream.on('end', () => resolve(fromServiceError(new Error('the supervisor closed the line'))));
      let agreed = false;
      stream.on('data', (message: AttachResponse) => {
        if (agreed) {
          onMessage(message);
          return;
        }
        try {
          // One of before says other things first.
          const { event } = message;
          agreeOnWire('vkerneld', event.case === 'welcome' ? event.value.wire : undefined, 'vkernel');
          agreed = true;
        } catch (error) {
          resolve(fromServiceError(error));
        }
      });
      const untold = this.#unsent.flatMap((event) =>
        event.case === 'exited' ? [event.value.pid ?? 0n] : [],
      );
      const who = {
        name,
        token,
        pids: [...pids(), ...untold],
        wire: wireSpoken(),
        descriptorToken,
        asksInput: true,
        takesSnapshots: true,
      };
      stream.write({ event: { case: 'hello', value: who } });
      const unsent = this.#unsent;
      this.#unsent = [];
      this.#stream = stream;
      for (const event of unsent) stream.write({ event });
      if (this.#attachments++ > 0) onReattached();
    });
  }
}

function connected(channel: RpcChannel): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.waitForReady(Date.now() + connectMaxMs, (error) =>
      error === undefined || error === null ? resolve() : reject(error),
    );
  });
}
