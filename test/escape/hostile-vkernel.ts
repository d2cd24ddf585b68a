// A virtual kernel whose program was replaced by one that speaks the calls of a pmap manager and lies: with the token of a real
// one, its own userfaultfd, and descriptors as they come.
import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type * as grpc from '@grpc/grpc-js';
import {
  type FaultsRequestSchema,
  type PmapEvent,
  PmapService,
  SessionRequestSchema,
  type SessionResponse,
  type VkernelEventSchema,
} from '@odonata/proto/pmap/v1/pmap';
import { openChannel } from '@odonata/rpc/channel.ts';
import { openStream } from '@odonata/rpc/client.ts';
import { fromServiceError, type RpcError } from '@odonata/rpc/error.ts';
import { useToken } from '@odonata/rpc/identity/own.ts';
import type { VkernelSockets } from '@odonata/rpc/vkernel-sockets.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { knock } from '@odonata/userfault/descriptor-door.ts';
import { DescriptorReceiver } from '@odonata/userfault/descriptor-line.ts';
import { MapFlag, mmap, Prot } from '@odonata/userfault/libc.ts';
import { dataspaceLabel, vmspaceLabel } from '@odonata/userfault/memory-label.ts';
import { Userfault, Watch } from '@odonata/userfault/userfault.ts';

export type Event = MessageInitShape<typeof VkernelEventSchema>['event'];
export type Answer = PmapEvent['event'];

/** Of a session, what it may speak of. */
export interface Known {
  readonly vmspace: bigint;
  readonly dataspace: bigint;
  readonly pid: bigint;
}

const ANSWER_MS = 5_000;

export interface HostileOptions {
  sockets: VkernelSockets;
  token: string;
  name: string;
  /** What it hands over; its own userfaultfd otherwise. */
  fd?: number;
  /** Token that it says, where that is not the one that it knocked with. */
  says?: Uint8Array;
  resumeToken?: Uint8Array;
}

export class HostileVkernel {
  readonly userfault = Userfault.create();
  readonly descriptors: DescriptorReceiver;
  readonly ended: Promise<RpcError | undefined>;
  readonly welcomed: Promise<Uint8Array>;
  faultToken: Uint8Array = new Uint8Array();
  private readonly channel: grpc.Client;
  private readonly stream;
  private readonly answers = new Map<bigint, (answer: Answer) => void>();
  private last = 0n;
  isOver = false;

  constructor({ sockets, token, name, fd, says, resumeToken }: HostileOptions) {
    const userfaultToken = randomBytes(16);
    this.descriptors = new DescriptorReceiver(
      knock(sockets.userfault, userfaultToken, fd ?? this.userfault.fd),
    );
    useToken(token);
    this.channel = openChannel(`unix:${sockets.pmap}`);
    this.stream = openStream(PmapService.method.session, this.channel);
    const welcome = Promise.withResolvers<Uint8Array>();
    this.welcomed = welcome.promise;
    this.welcomed.catch(() => {});
    const end = Promise.withResolvers<RpcError | undefined>();
    this.ended = end.promise;
    const over = (error?: RpcError) => {
      this.isOver = true;
      end.resolve(error);
      welcome.reject(error ?? new Error('it ended'));
    };
    this.stream.on('error', (error) => over(fromServiceError(error)));
    this.stream.on('end', () => over());
    this.stream.on('data', ({ events }: SessionResponse) => {
      for (const { request, event } of events) {
        if (event.case === 'welcome') {
          this.faultToken = event.value.faultToken;
          welcome.resolve(event.value.faultToken);
        }
        this.answers.get(request)?.(event);
      }
    });
    const hello = { name, userfaultToken: says ?? userfaultToken, resumeToken, wire: wireSpoken() };
    this.say(0n, { case: 'hello', value: hello });
  }

  say(request: bigint, event: Event): void {
    if (!this.isOver) this.stream.write(create(SessionRequestSchema, { events: [{ request, event }] }));
  }

  /** Does not read what it is answered any more. */
  goDeaf(): void {
    this.stream.pause();
  }

  /** Undefined: there was none, and no end. */
  ask(event: Event): Promise<Answer | undefined> {
    const request = ++this.last;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), ANSWER_MS);
      const answered = (answer: Answer | undefined) => {
        clearTimeout(timer);
        resolve(answer);
      };
      this.answers.set(request, answered);
      void this.ended.then(() => answered(undefined));
      this.say(request, event);
    });
  }

  async process(pid: bigint): Promise<{ vmspace: bigint; fd: number }> {
    const made = await this.ask({ case: 'vmspaceCreate', value: { pid, sizeBytes: 1n << 24n } });
    if (made?.case !== 'vmspaceCreated') throw new Error(JSON.stringify(made?.value));
    const { vmspace } = made.value;
    return { vmspace, fd: this.descriptors.take(vmspaceLabel(vmspace))! };
  }

  /** A process of its with a dataspace open: what it speaks of when it speaks by chance. It keeps no descriptor of them. */
  async known(pid: bigint, dataspaceName: string): Promise<Known> {
    const { vmspace, fd } = await this.process(pid);
    const { dataspace, fd: opened } = await this.open(vmspace, dataspaceName);
    for (const each of [fd, opened]) closeSync(each);
    return { vmspace, dataspace, pid };
  }

  async open(vmspace: bigint, name: string, sizeBytes = 0n) {
    const opened = await this.ask({ case: 'open', value: { vmspace, name, sizeBytes } });
    if (opened?.case !== 'opened') throw new Error(JSON.stringify(opened?.value));
    const { dataspace, readOnly } = opened.value;
    return { dataspace, readOnly, fd: this.descriptors.take(dataspaceLabel(dataspace, readOnly))! };
  }

  /** Addresses of this process, over a file, as a virtual kernel has them. */
  lay(fd: number, lengthBytes: number, readOnly = false): bigint {
    const flags = readOnly ? MapFlag.PRIVATE : MapFlag.SHARED;
    const address = mmap(0n, lengthBytes, Prot.READ | Prot.WRITE, flags | MapFlag.NORESERVE, fd, 0);
    this.userfault.register(address, lengthBytes, Watch.MISSING | Watch.MINOR | Watch.WRITE_PROTECT);
    return address;
  }

  /** A stream of faults. */
  faults(token = this.faultToken) {
    const stream = openStream(PmapService.method.faults, this.channel);
    const ended = new Promise<RpcError | undefined>((resolve) => {
      stream.on('error', (error) => resolve(fromServiceError(error)));
      stream.on('end', () => resolve(undefined));
    });
    stream.resume();
    const say = (faults: MessageInitShape<typeof FaultsRequestSchema>['faults']) =>
      stream.write({ faultToken: token, faults } as never);
    return { say, ended, close: () => stream.cancel() };
  }

  close(): void {
    this.stream.cancel();
    this.channel.close();
    this.descriptors.close();
    this.userfault.close();
  }
}

export const closeAll = (fds: readonly number[]): void => {
  for (const fd of fds) closeSync(fd);
};
