// The vkernel's stream to its node's pmap manager: requests with answers, faults without.
//
//   away -- welcome --> ready -- handing_over --> moving -- welcome of the next pmap manager --> ready
//     ^                   |                         |
//     +---- stream ends --+--- HAND_OVER_MS --------+   everything asked fails, and the processes end
import { randomBytes } from 'node:crypto';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type PmapEvent,
  PmapService,
  SessionRequestSchema,
  type SessionResponse,
  VkernelEventSchema,
} from '@odonata/proto/pmap/v1/pmap';
import { Backoff } from '@odonata/rpc/backoff.ts';
import { openChannel } from '@odonata/rpc/client.ts';
import { violationOf } from '@odonata/rpc/constraints/message.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { EventBatch } from '@odonata/rpc/event-batch.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { OpenedStream } from '@odonata/rpc/opened-stream.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { agreeOnWire, wireSpoken } from '@odonata/rpc/wire-version.ts';
import { knock, TOKEN_BYTES } from '@odonata/userfault/descriptor-door.ts';
import { type DescriptorLabel, DescriptorReceiver } from '@odonata/userfault/descriptor-line.ts';
import { close } from '@odonata/userfault/libc.ts';
import { dataspaceLabel, imageLabel, vmspaceLabel } from '@odonata/userfault/memory-label.ts';
import { Errno } from './errno.ts';
import { PmapError } from './pmap-interface.ts';
import { errnoOf, errnoOfSync } from './wasi-errno.ts';

type VkernelEventInit = MessageInitShape<typeof VkernelEventSchema>['event'];
type Stream = OpenedStream<typeof PmapService.method.session>;
export type PmapAnswer = PmapEvent['event'];

export interface PmapSessionOptions {
  address: string;
  userfaultSocket: string;
  /** Name of the vkernel. */
  name: string;
  userfault: number;
  log: Logger;
  onEvent(event: PmapAnswer): void;
  /** Another pmap manager takes the place of this one: faults are kept until its welcome. */
  onMoving(): void;
  onLost(): void;
  /** No session came about, or the one that there was ended, for this reason; it is tried again. */
  onRefused?(error: RpcError): void;
  /** How long the next pmap manager may take to welcome us. */
  handOverMs?: number;
}

const HAND_OVER_MS = 10_000;
const MOVE_AGAIN_MS = 10;

interface Asked {
  event: VkernelEventInit;
  /** True when that was the last answer. */
  answer(event: PmapAnswer): boolean;
  reject(error: PmapError): void;
}

export class PmapSession {
  private readonly o: PmapSessionOptions;
  private readonly channel;
  private readonly backoff = new Backoff({ firstMs: 30, maxMs: 1_000 });
  private readonly batch: EventBatch<{ request?: bigint; event: VkernelEventInit }>;
  private readonly asked = new Map<bigint, Asked>();
  private readonly waitingForReady: (() => void)[] = [];
  private stream: Stream | undefined;
  /** Memory files come there. */
  private descriptors: DescriptorReceiver | undefined;
  private ready = false;
  private readonly gate: WireGate;
  private closed = false;
  /** Names the session, here and at the pmap manager that may come after this one. */
  private token: Uint8Array | undefined;
  /** While it moves: when to give up. */
  private moving: NodeJS.Timeout | undefined;
  /** The next try to connect: one at most. */
  private trying: NodeJS.Timeout | undefined;
  private unsent: { request?: bigint; event: VkernelEventInit }[] = [];
  private nextRequest = 1n;

  constructor(options: PmapSessionOptions) {
    this.o = options;
    this.gate = new WireGate('vkernel', options.log);
    this.channel = openChannel(options.address);
    this.batch = new EventBatch((events) => {
      if (this.moving !== undefined) this.unsent.push(...events);
      else this.stream?.write(create(SessionRequestSchema, { events }));
    });
    this.connect();
  }

  /** Resolves when the pmap manager answers. */
  whenReady(): Promise<void> {
    return this.ready ? Promise.resolve() : new Promise((resolve) => this.waitingForReady.push(resolve));
  }

  send(event: VkernelEventInit): void {
    if (this.ready || this.moving !== undefined) this.batch.push({ event });
  }

  /** Asks, and resolves with the one answer. */
  ask(event: VkernelEventInit): Promise<PmapAnswer> {
    return new Promise((resolve, reject) => {
      this.askMany(
        event,
        (answer) => {
          resolve(answer);
          return true;
        },
        reject,
      );
    });
  }

  /** Asks, and gets answers until one is the last. Returns the request's number. */
  askMany(event: VkernelEventInit, answer: Asked['answer'], reject: (error: PmapError) => void): bigint {
    const request = this.nextRequest++;
    if (!this.ready && this.moving === undefined) {
      reject(new PmapError(Errno.io, 'the pmap manager of the node is away'));
      return request;
    }
    const numbered = withRequest(event, request);
    // A program may say anything; the pmap manager ends the session of whoever passes that on, with all that is in it.
    const message = create(VkernelEventSchema, { request, event: numbered });
    const violation = violationOf(VkernelEventSchema, message);
    if (violation !== undefined) {
      reject(new PmapError(Errno.inval, `${violation.field}: ${violation.text}`));
      return request;
    }
    this.asked.set(request, { event: numbered, answer, reject });
    this.batch.push({ request, event: numbered });
    return request;
  }

  /**
   * The memory file that came with an answer. The caller closes it.
   * @throws PmapError ENFILE where this process had no room for it
   */
  takeDescriptor(label: DescriptorLabel): number {
    const fd = this.descriptors?.take(label);
    if (fd === undefined) throw new PmapError(Errno.nfile, 'the memory file did not come with the answer');
    return fd;
  }

  /** Nobody waits for this wait any more. */
  cancelWait(request: bigint): void {
    if (this.asked.delete(request)) this.send({ case: 'cancelWait', value: { request } });
  }

  /** A process is over: its locks and waits are never answered. */
  ownerGone(owner: bigint): void {
    for (const [request, { event, reject }] of this.asked) {
      if (event?.case !== 'lock' && event?.case !== 'unlock' && event?.case !== 'wait') continue;
      if (event.value.owner !== owner) continue;
      this.asked.delete(request);
      reject(new PmapError(Errno.canceled, 'the process is over'));
    }
  }

  /** Gives the stream up: what went with the stream of faults cannot be known. */
  breakOff(reason: string): void {
    if (this.stream !== undefined && this.ready)
      this.lost(this.stream, new RpcError(Code.Unavailable, reason));
  }

  private connect(): void {
    const token = randomBytes(TOKEN_BYTES);
    const resumeToken = this.moving === undefined ? undefined : this.token;
    try {
      // It has the descriptor of a session that is resumed; this tells whether it is there yet.
      const socket = knock(this.o.userfaultSocket, token, this.o.userfault);
      this.descriptors?.close();
      this.descriptors = new DescriptorReceiver(socket);
    } catch (error) {
      this.o.onRefused?.(new RpcError(Code.Unavailable, String(error), { cause: error }));
      this.again(String(error));
      return;
    }
    const { name } = this.o;
    const hear = (response: SessionResponse): void => {
      if (this.stream === stream) for (const event of response.events) this.receive(stream, event);
    };
    const about = { log: this.o.log, where: { session: name }, hear };
    const stream: Stream = new OpenedStream(PmapService.method.session, this.channel, about);
    this.stream = stream;
    stream.on('error', (error) => this.lost(stream, fromServiceError(error)));
    stream.on('end', () => this.lost(stream, new RpcError(Code.Unavailable, 'it ended the stream')));
    stream.write(
      create(SessionRequestSchema, {
        events: [
          {
            event: { case: 'hello', value: { name, userfaultToken: token, resumeToken, wire: wireSpoken() } },
          },
        ],
      }),
    );
  }

  private lost(stream: Stream, error: RpcError): void {
    if (this.stream !== stream || this.closed) return;
    this.gate.refused('pmapd', error);
    this.o.onRefused?.(error);
    stream.cancel();
    this.stream = undefined;
    // One that knows of no session to resume is not the next one: it has nothing of ours.
    const unknown = this.moving !== undefined && error.code === Code.Unauthenticated;
    if (this.moving !== undefined && !unknown) this.again(error.message);
    else this.giveUp(error.message);
  }

  private giveUp(reason: string): void {
    clearTimeout(this.moving);
    const was = this.ready || this.moving !== undefined;
    this.moving = undefined;
    this.unsent = [];
    this.batch.clear();
    this.ready = false;
    for (const asked of this.asked.values())
      asked.reject(new PmapError(Errno.io, 'the pmap manager of the node went away'));
    this.asked.clear();
    if (was) this.o.onLost();
    this.again(reason);
  }

  private again(reason: string): void {
    if (this.closed) return;
    this.o.log.debug({ reason }, 'no pmap manager; trying again');
    const moves = this.moving !== undefined;
    const retry = () => {
      if (this.closed || (moves && this.moving === undefined)) return;
      this.connect();
    };
    clearTimeout(this.trying);
    this.trying = setTimeout(retry, moves ? MOVE_AGAIN_MS : this.backoff.nextDelayMs());
  }

  // The last word here; what is said from now on waits for the next pmap manager.
  private move(stream: Stream): void {
    this.batch.flush();
    this.ready = false;
    this.moving = setTimeout(() => {
      this.stream?.cancel();
      this.stream = undefined;
      this.giveUp('no other pmap manager took the place of the one that handed over');
    }, this.o.handOverMs ?? HAND_OVER_MS);
    this.o.onMoving();
    stream.end();
  }

  private welcomed(token: Uint8Array): void {
    this.token = token;
    this.ready = true;
    this.backoff.reset();
    for (const resolve of this.waitingForReady.splice(0)) resolve();
    if (this.moving === undefined) return;
    clearTimeout(this.moving);
    this.moving = undefined;
    // The directory remembers locks and waits; whatever else was under way is asked once more, and is the same again.
    for (const [request, { event }] of this.asked)
      if (event?.case === 'open' || event?.case === 'sync' || event?.case === 'frames')
        this.batch.push({ request, event });
    for (const event of this.unsent.splice(0)) this.batch.push(event);
  }

  private receive(stream: Stream, { request, event }: PmapEvent): void {
    if (request === 0n) {
      if (event.case === 'handingOver') {
        this.move(stream);
        return;
      }
      if (event.case === 'welcome') {
        try {
          agreeOnWire(`${event.value.node}/pmapd`, event.value.wire, 'vkernel');
        } catch (error) {
          this.lost(stream, fromServiceError(error));
          return;
        }
      }
      this.o.onEvent(event);
      if (event.case === 'welcome') this.welcomed(event.value.faultToken);
      return;
    }
    const asked = this.asked.get(request);
    if (asked === undefined) {
      this.discard(event);
      return;
    }
    if (event.case === 'failed') {
      this.asked.delete(request);
      const { code, reason, errno } = event.value;
      const byCode = asked.event?.case === 'sync' ? errnoOfSync : errnoOf;
      asked.reject(new PmapError(errno || byCode(code), reason, code));
    } else if (asked.answer(event)) this.asked.delete(request);
  }

  // Nobody waits for this answer.
  private discard(event: PmapAnswer): void {
    let fd: number | undefined;
    if (event.case === 'vmspaceCreated') fd = this.descriptors?.take(vmspaceLabel(event.value.vmspace));
    else if (event.case === 'opened')
      fd = this.descriptors?.take(dataspaceLabel(event.value.dataspace, event.value.readOnly));
    else if (event.case === 'imageLaid') fd = this.descriptors?.take(imageLabel(event.value.image));
    if (fd !== undefined) close(fd);
  }

  close(): void {
    this.closed = true;
    this.descriptors?.close();
    clearTimeout(this.moving);
    clearTimeout(this.trying);
    this.stream?.end();
    this.stream?.cancel();
    this.channel.close();
  }
}

// Locks, waits and wakes carry the request's number inside too, so that a cancel can name it.
function withRequest(event: VkernelEventInit, request: bigint): VkernelEventInit {
  if (event?.case === 'lock' || event?.case === 'wait' || event?.case === 'wake') {
    return { ...event, value: { ...event.value, request } } as VkernelEventInit;
  }
  return event;
}
