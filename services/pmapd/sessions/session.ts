// The session of one virtual kernel: its userfaultfd, its vmspaces, its frames, and its stream. It outlives its stream only
// when this pmap manager took the place of another one: until the virtual kernel resumes it there.

import type { MessageShape } from '@bufbuild/protobuf';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { Fault, PmapEventSchema, VkernelEvent } from '@odonata/proto/pmap/v1/pmap';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { isContext } from '@odonata/rpc/trace/context.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import type { DescriptorSender } from '@odonata/userfault/descriptor-line.ts';
import type { Userfault } from '@odonata/userfault/userfault.ts';
import { PrivateFrames } from '../frames/private-frames.ts';
import type { Pageout } from '../pageout/pageout.ts';
import type { PageTraces } from '../traces/page-traces.ts';
import { tellFault, tellSignal } from '../vmspaces/process-events.ts';
import { expectFaultAddress, timeOf } from './hearsay.ts';
import { OpenDataspaces } from './open-dataspaces.ts';
import type { SessionKeeper, SessionNode } from './session-node.ts';
import { type AskingSession, SessionRequests } from './session-requests.ts';
import type { SessionStream } from './session-stream.ts';
import { SessionVmspaces } from './session-vmspaces.ts';
import { type PmapEventInit, Teller } from './teller.ts';
import { framesReason } from './vkernel-bounds.ts';
import type { Vmspace } from './vmspace.ts';

/** Vmspaces whose frames are told in one turn, where all are. */
const TOLD_AT_ONCE = 200;

/** A process that was told to end, so that others have its frames, may take so long. */
const END_MS = 20_000;

/** Its node, which ends it. */
interface EndingNode extends SessionNode {
  readonly pageout: Pageout;
  readonly traces: PageTraces | undefined;
  readonly sessions: SessionKeeper & {
    /** Ends a session that cannot go on. */
    endSession(session: Session, reason: string, code?: Code): void;
  };
}

export interface SessionOptions {
  /** Of the vkernel. */
  name: string;
  /** Frames that it may hold; 0: what the node has. */
  frameLimit: bigint;
  /** Names the session on the stream of its faults, and where the virtual kernel resumes it. */
  token: Uint8Array;
  userfault: Userfault;
  /** Whose virtual kernel it is. */
  requester: Requester;
}

export class Session implements AskingSession {
  readonly name: string;
  readonly userfault: Userfault;
  /** Among the holders of the node's directory. */
  readonly holder: number;
  /** What its processes have open. */
  readonly open = new OpenDataspaces();
  readonly spaces: SessionVmspaces;
  readonly privateFrames: PrivateFrames;
  readonly requester: Requester;
  readonly token: Buffer;
  readonly frameLimit: bigint;
  private readonly node: EndingNode;
  private readonly requests: SessionRequests;
  private readonly teller: Teller;
  private readonly sinceNs = process.hrtime.bigint();
  private isBroken = false;
  /** Vmspaces whose end somebody waits for, and since when. */
  private readonly ending = new Map<bigint, number>();
  constructor(node: EndingNode, { name, frameLimit, token, userfault, requester }: SessionOptions) {
    this.node = node;
    this.name = name;
    this.userfault = userfault;
    this.requester = requester;
    this.frameLimit = frameLimit;
    this.token = Buffer.from(token);
    this.holder = node.memory.home.join();
    this.spaces = new SessionVmspaces(node, this, this.open);
    this.privateFrames = new PrivateFrames({ node, session: this });
    this.requests = new SessionRequests(node, this);
    const files = {
      dataspace: (id: bigint) => node.memory.get(id),
      vmspace: (id: bigint) => this.vmspaces.get(id),
      image: (id: bigint) => node.images.get(id),
    };
    this.teller = new Teller(
      files,
      ({ details, code }) => node.sessions.endSession(this, details, code),
      (reason) => {
        node.sessions.limited('untold', this, reason);
        this.later(() => node.sessions.endSession(this, reason, Code.ResourceExhausted));
      },
      (reason) => this.limited('descriptor-answers', reason),
    );
  }

  get vmspaces(): ReadonlyMap<bigint, Vmspace> {
    return this.spaces.byId;
  }

  get byPid(): ReadonlyMap<bigint, Vmspace> {
    return this.spaces.byPid;
  }

  /** Welcomes the virtual kernel on its stream; one that resumes hears what it missed. */
  attach(stream: SessionStream, descriptors?: DescriptorSender): void {
    const { name: node, incarnation } = this.node;
    const value = { node, incarnation, faultToken: this.token, wire: wireSpoken() };
    this.teller.attach(stream, { event: { case: 'welcome', value } }, descriptors);
    this.tellDeadline();
    // Faults of those who wait were lost with the other stream.
    for (const { entries } of this.vmspaces.values())
      for (const { address, pageCount } of entries) this.userfault.wake(address, pageCount * PAGE_BYTES);
    this.tellFrames(stream, [...this.vmspaces.values()]);
  }

  // Bit by bit: nobody waits for it, and of ten thousand it would keep everybody from being served.
  private tellFrames(stream: SessionStream, vmspaces: Vmspace[]): void {
    if (!this.teller.isAttachedTo(stream)) return;
    for (const vmspace of vmspaces.splice(-TOLD_AT_ONCE))
      if (this.vmspaces.get(vmspace.id) === vmspace) vmspace.tell(vmspace.charge.sharedFrames);
    if (vmspaces.length > 0) this.later(() => this.tellFrames(stream, vmspaces));
  }

  private later(run: () => void): void {
    const end = ({ details, code }: RpcError) => this.node.sessions.endSession(this, details, code);
    setImmediate(ownTurn({ vkernel: this.name }, run, end));
  }

  /** Something about it is not as it can be: it ends, once what is being done is done. */
  broken(reason: string): void {
    if (this.isBroken) return;
    this.isBroken = true;
    this.node.sessions.refused('page-tables', this, reason);
    this.later(() => this.node.sessions.endSession(this, reason));
  }

  /** Its stream ends with an error. */
  endStream(error: RpcError): void {
    this.teller.endStream(error);
  }

  /** Looks now and then at what it really has, and does. */
  inspect(): void {
    this.privateFrames.look((more) => {
      this.node.sessions.refused(
        'frames',
        this,
        `its processes have ${more} frames more than it was granted`,
      );
    });
    const nowMs = monotonicMs();
    for (const [id, sinceMs] of this.ending) {
      if (!this.vmspaces.has(id)) this.ending.delete(id);
      else if (nowMs - sinceMs > END_MS) this.broken(`it was told to end vmspace ${id}, and did not`);
    }
  }

  get isAttached(): boolean {
    return this.teller.isAttached;
  }

  /** The virtual kernel said its last word here, and hears what is answered until now. */
  detach(): void {
    this.teller.detach();
  }

  /** Frames that the virtual kernel holds of private memory. */
  get frames(): number {
    return this.privateFrames.held;
  }

  /** Of all of its processes, private and shared ones, and pages in swap. */
  get usedFrames(): number {
    let frames = this.privateFrames.held;
    for (const { charge, paged } of this.vmspaces.values())
      frames += charge.sharedFrames + (paged?.aside.size ?? 0);
    return frames + this.imageFrames();
  }

  /** An image counts for each virtual kernel that uses it, once. */
  private imageFrames(): number {
    const images = new Set([...this.vmspaces.values()].flatMap(({ image }) => image?.image ?? []));
    return [...images].reduce((sum, { pageCount }) => sum + pageCount, 0);
  }

  frameRoom(): number {
    const { frames } = this.node.bounds.of(this.name);
    const left = this.frameLimit === 0n ? Number.POSITIVE_INFINITY : Number(this.frameLimit) - this.frames;
    // What all have is summed up where somebody set a bound only.
    return Math.max(0, frames === Number.POSITIVE_INFINITY ? left : Math.min(left, frames - this.usedFrames));
  }

  frameReason(): string {
    const { frames } = this.node.bounds.of(this.name);
    return framesReason(this.name, Math.min(frames, Number(this.frameLimit) || Number.POSITIVE_INFINITY));
  }

  /** Those that it got from the pmap manager whose place this one took. */
  resumeFrames(frames: number): void {
    this.privateFrames.resume(frames);
  }

  /** What the virtual kernel has to hear yet. */
  takeUnsent(): MessageShape<typeof PmapEventSchema>[] {
    return this.teller.takeUnsent();
  }

  /** Another pmap manager takes the place of this one. */
  tellHandingOver(): void {
    this.send({ event: { case: 'handingOver', value: {} } });
  }

  /** Tells until when shared memory that is mapped may be used, should this pmap manager fall silent. */
  tellDeadline(): void {
    this.send({ event: { case: 'lease', value: { deadlineNs: this.node.deadlineNs } } });
  }

  /** Ends a process so that others have its frames. */
  endForFrames(vmspace: bigint, reason: string): void {
    this.ending.set(vmspace, this.ending.get(vmspace) ?? monotonicMs());
    this.endProcess(vmspace, 'SIGKILL', reason);
  }

  /** Ends a process, for another reason than a fault. */
  endProcess(vmspace: bigint, signal: string, reason: string): void {
    tellSignal(this.node.watches, vmspace, signal, reason);
    this.send({ event: { case: 'faultError', value: { vmspace, address: 0n, signal, reason } } });
  }

  send(event: PmapEventInit): void {
    this.teller.send(event);
  }

  /** A request of it was refused for a limit. */
  limited(limit: string, reason: string): void {
    this.node.sessions.limited(limit, this, reason);
  }

  /** Somebody watches a vmspace, or nobody does any more. */
  trace(vmspace: bigint, on: boolean): void {
    this.send({ event: { case: 'trace', value: { vmspace, on } } });
  }

  /** Handles one event; what goes wrong becomes its answer. */
  receive(event: VkernelEvent): void {
    this.requests.receive(event);
  }

  /** The virtual kernel fills nothing of a vmspace by itself any more. */
  paged(vmspace: Vmspace, address: bigint): void {
    expectFaultAddress(address);
    if (this.node.pageout.answered(this, vmspace, address)) return;
    // Too late, or of another pmap manager: else nobody would fill it.
    this.send({ event: { case: 'pageVmspace', value: { vmspace: vmspace.id, ends: true } } });
  }

  /** Serves a fault. @throws Lie where none can be */
  fault({ vmspace, address, write, atNs: saidNs, offset, trace }: Fault): void {
    if (this.isBroken) return;
    expectFaultAddress(address);
    const atNs = timeOf(saidNs, this.sinceNs);
    const space = this.vmspaces.get(vmspace);
    const entry = space?.find(address);
    if (entry === undefined && space !== undefined && this.node.pageout.fault(space, address) === true) {
      this.node.statistics.fault('node', Number(process.hrtime.bigint() - atNs));
      return;
    }
    // The mapping went away under the fault: whoever waits looks again.
    if (entry === undefined) {
      this.userfault.wake(address, PAGE_BYTES);
      return;
    }
    const page = entry.firstPage + Number(address - entry.address) / PAGE_BYTES;
    if (this.node.watches.isWatched(vmspace)) tellFault(this.node.watches, entry, page, write);
    if (isContext(trace)) this.node.traces?.faulted(entry, page, { write, atNs }, trace);
    this.node.memory.step({ type: 'fault', entry, page, write, atNs, offset });
  }

  destroyVmspace(vmspace: Vmspace, { takeFrames = false } = {}): void {
    this.node.pageout.close(vmspace);
    this.privateFrames.ends(vmspace);
    this.spaces.destroy(vmspace, takeFrames);
  }

  /** The vkernel is gone; or it is slow, and hears of that when it has nothing to write to any more. */
  close(): void {
    for (const { entries } of this.vmspaces.values()) for (const entry of entries) entry.protect();
    for (const vmspace of [...this.vmspaces.values()]) this.destroyVmspace(vmspace, { takeFrames: true });
    this.node.memory.home.leave(this.holder);
    this.node.images.abandon(this);
    this.privateFrames.close();
    this.node.sync.sessionGone(this);
    this.userfault.close();
    this.requests.close();
    this.teller.close();
  }
}
