// The vkernel's stream to its node's pmap manager: requests with answers, faults without.
import { randomBytes } from 'node:crypto';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import {
  type PmapEvent,
  PmapService,
  SessionRequestSchema,
  type SessionResponse,
  type VkernelEventSchema,
} from '@odonata/proto/pmap/v1/pmap';
import { Backoff } from '@odonata/rpc/backoff.ts';
import { openChannel, openStream } from '@odonata/rpc/client.ts';
import { EventBatch } from '@odonata/rpc/event-batch.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { handOver } from '@odonata/userfault/descriptor-door.ts';
import { PmapError } from './pmap-interface.ts';
import { errnoOf } from './wasi-errno.ts';

type VkernelEventInit = MessageInitShape<typeof VkernelEventSchema>['event'];
type SessionRequestInit = MessageInitShape<typeof SessionRequestSchema>;
export type PmapAnswer = PmapEvent['event'];

export interface PmapSessionOptions {
  address: string;
  userfaultSocket: string;
  /** Name of the vkernel. */
  name: string;
  userfault: number;
  log: Logger;
  onEvent(event: PmapAnswer): void;
  onLost(): void;
}

const EIO = 29;

interface Asked {
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
  private stream: ClientDuplexStream<SessionRequestInit, SessionResponse> | undefined;
  private ready = false;
  private closed = false;
  private nextRequest = 1n;

  constructor(options: PmapSessionOptions) {
    this.o = options;
    this.channel = openChannel(options.address);
    this.batch = new EventBatch((events) => this.stream?.write(create(SessionRequestSchema, { events })));
    this.connect();
  }

  /** Resolves when the pmap manager answers. */
  whenReady(): Promise<void> {
    return this.ready ? Promise.resolve() : new Promise((resolve) => this.waitingForReady.push(resolve));
  }

  send(event: VkernelEventInit): void {
    if (this.ready) this.batch.push({ event });
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
    if (!this.ready) {
      reject(new PmapError(EIO, 'the pmap manager of the node is away'));
      return request;
    }
    this.asked.set(request, { answer, reject });
    this.batch.push({ request, event: withRequest(event, request) });
    return request;
  }

  /** Nobody waits for this wait any more. */
  cancelWait(request: bigint): void {
    if (this.asked.delete(request)) this.send({ case: 'cancelWait', value: { request } });
  }

  /** Gives the stream up: what went with the stream of faults cannot be known. */
  breakOff(reason: string): void {
    if (this.stream !== undefined && this.ready) this.lost(this.stream, reason);
  }

  private connect(): void {
    const token = randomBytes(16);
    try {
      handOver(this.o.userfaultSocket, token, this.o.userfault);
    } catch (error) {
      this.again(String(error));
      return;
    }
    const stream = openStream(PmapService.method.session, this.channel);
    this.stream = stream;
    stream.on('data', (response: SessionResponse) => {
      if (this.stream === stream) for (const event of response.events) this.receive(event);
    });
    stream.on('error', (error) => this.lost(stream, error.message));
    stream.on('end', () => this.lost(stream, 'it ended the stream'));
    stream.write(
      create(SessionRequestSchema, {
        events: [{ event: { case: 'hello', value: { name: this.o.name, userfaultToken: token } } }],
      }),
    );
  }

  private lost(stream: ClientDuplexStream<SessionRequestInit, SessionResponse>, reason: string): void {
    if (this.stream !== stream || this.closed) return;
    stream.cancel();
    this.stream = undefined;
    this.batch.clear();
    const was = this.ready;
    this.ready = false;
    for (const asked of this.asked.values())
      asked.reject(new PmapError(EIO, 'the pmap manager of the node went away'));
    this.asked.clear();
    if (was) this.o.onLost();
    this.again(reason);
  }

  private again(reason: string): void {
    if (this.closed) return;
    this.o.log.debug({ reason }, 'no pmap manager; trying again');
    setTimeout(() => !this.closed && this.connect(), this.backoff.nextDelayMs());
  }

  private receive({ request, event }: PmapEvent): void {
    if (request === 0n) {
      this.o.onEvent(event);
      if (event.case !== 'welcome') return;
      this.ready = true;
      this.backoff.reset();
      for (const resolve of this.waitingForReady.splice(0)) resolve();
      return;
    }
    const asked = this.asked.get(request);
    if (asked === undefined) return;
    if (event.case === 'failed') {
      this.asked.delete(request);
      asked.reject(new PmapError(errnoOf(event.value.code), event.value.reason));
    } else if (asked.answer(event)) this.asked.delete(request);
  }

  close(): void {
    this.closed = true;
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
