// The session of one virtual kernel: its userfaultfd, its vmspaces, its frames, and its stream. It outlives its stream only
// when this pmap manager took the place of another one: until the virtual kernel resumes it there.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { create, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import {
  type DataspaceOpen,
  type Fault,
  McontrolAdvice,
  PmapEventSchema,
  type RangeName,
  SessionResponseSchema,
  type VkernelEvent,
  type VmspaceCreate,
  type VmspaceMcontrol,
  type VmspaceMmap,
} from '@odonata/proto/pmap/v1/pmap';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { EventBatch } from '@odonata/rpc/event-batch.ts';
import { asOfNow, type Requester } from '@odonata/rpc/identity/requester.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import type { DescriptorSender } from '@odonata/userfault/descriptor-line.ts';
import type { Userfault } from '@odonata/userfault/userfault.ts';
import type { Backing } from '../backing.ts';
import { RANGE_NAME_BYTES, RANGES_MAX, type RangeNames } from '../contention/range-names.ts';
import { errnoFor, exhaustedOr } from '../frames/exhausted.ts';
import type { Frames } from '../frames/frames.ts';
import { PrivateFrames } from '../frames/private-frames.ts';
import type { Short } from '../frames/shortage.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import type { Statistics } from '../statistics.ts';
import { tellFault, tellSignal, tellTransfers } from '../vmspaces/process-events.ts';
import type { Watches } from '../vmspaces/watches.ts';
import type { SyncRelay } from '../wire/sync-relay.ts';
import { DescriptorOutbox } from './descriptor-outbox.ts';
import {
  ADVISED_PAGES_MAX,
  countsOf,
  expectFaultAddress,
  expectMapping,
  expectName,
  expectRange,
  Foreign,
  Lie,
  shortReason,
  timeOf,
} from './hearsay.ts';
import { MapEntry, type MappedDataspace, type VkernelSession } from './map-entry.ts';
import { OpenDataspaces } from './open-dataspaces.ts';
import { expectTheirs } from './sync-rights.ts';
import { ENTRIES_MAX, Vmspace } from './vmspace.ts';

/** Vmspaces whose frames are told in one turn, where all are. */
const TOLD_AT_ONCE = 200;

export type PmapEventInit = MessageInitShape<typeof PmapEventSchema>;

/** vmspaces of one vkernel. */
export const VMSPACES_MAX = 1_000_000;
/** Opens, removals and syncs of one vkernel that are under way. */
const WORK_MAX = 1_024;
/** A process that was told to end, so that others have its frames, may take so long. */
const END_MS = 20_000;

/** Where a mapping is in the linear memory of its process: what cannot be is as if it had not been told. */
export function linearOffsetOf(
  { linearOffset, lengthBytes }: Pick<VmspaceMmap, 'linearOffset' | 'lengthBytes'>,
  sizeBytes = Number.POSITIVE_INFINITY,
): number | undefined {
  if (linearOffset === undefined || linearOffset % BigInt(PAGE_BYTES) !== 0n) return undefined;
  return Number(linearOffset + lengthBytes) <= sizeBytes ? Number(linearOffset) : undefined;
}

/** Codes of what a virtual kernel that is what it should be is never refused with. */
const SUSPICIOUS: ReadonlySet<number> = new Set([
  Code.PermissionDenied,
  Code.InvalidArgument,
  Code.OutOfRange,
  Code.AlreadyExists,
]);

/** The stream of a session; what it needs of gRPC. */
export interface SessionStream {
  write(message: ReturnType<typeof create<typeof SessionResponseSchema>>): boolean;
  /** Ends it. */
  fail(error: RpcError): void;
}

/** The node of a session. */
export interface SessionNode {
  readonly name: string;
  readonly memoryDir: string;
  readonly incarnation: bigint;
  readonly isLeaving: boolean;
  /** @see Node.deadlineNs */
  readonly deadlineNs: bigint;
  readonly memory: CoherentMemory;
  readonly backing: Backing;
  readonly frames: Frames;
  readonly sync: SyncRelay;
  readonly statistics: Statistics;
  nextVmspace(): bigint;
  readonly rangeNames: RangeNames;
  /** @see Node.removeDataspace */
  removeDataspace(name: string, by: { requester: Requester }): Promise<void>;
  readonly openings: {
    open(
      name: string,
      sizeBytes: bigint,
      options: { requester: Requester; exclusive: boolean; durable: boolean },
    ): Promise<{ dataspace: SharedDataspace; created: boolean; readOnly: boolean }>;
  };
  readonly line: { interest(dataspace: MappedDataspace): void };
  short(short: Short, sharedOnly?: boolean): void;
  endedForMemory(vmspace: Vmspace, reason: string): void;
  readonly watches: Watches;
  readonly sessions: SessionKeeper;
}

/** All sessions of the node. */
export interface SessionKeeper {
  /** @see SessionTable.expectFree */
  expectFree(pid: bigint): void;
  /** A request was refused for a limit. */
  limited(limit: string, session: Session, reason: string): void;
  /** @throws RpcError RESOURCE_EXHAUSTED */
  expectDescriptor(what: string, session: Session): void;
  /** A virtual kernel tried what none tries that is what it should be. @see SecurityEvents.refused */
  refused(attempt: string, session: Session, reason: string): void;
  /** Ends a session that cannot go on. */
  endSession(session: Session, reason: string, code?: Code): void;
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

export class Session implements VkernelSession {
  readonly name: string;
  readonly userfault: Userfault;
  /** Among the holders of the node's directory. */
  readonly holder: number;
  readonly vmspaces = new Map<bigint, Vmspace>();
  /** The same, by their processes. */
  readonly byPid = new Map<bigint, Vmspace>();
  /** What these have open. */
  readonly open = new OpenDataspaces();
  readonly requester: Requester;
  readonly token: Buffer;
  readonly frameLimit: bigint;
  private readonly node: SessionNode;
  private readonly privateFrames: PrivateFrames;
  private stream: SessionStream | undefined;
  private readonly sinceNs = process.hrtime.bigint();
  /** Opens, removals and syncs under way. */
  private working = 0;
  private isBroken = false;
  /** Vmspaces whose end somebody waits for, and since when. */
  private readonly ending = new Map<bigint, number>();
  /** What it is told when there is a stream. */
  private unsent: PmapEventInit[] = [];
  /** Vmspaces that changed, came or went since somebody follows. */
  private changes: Set<bigint> | undefined;
  /** What comes with a memory file. */
  private readonly outbox = new DescriptorOutbox(
    { dataspace: (id) => this.node.memory.get(id), vmspace: (id) => this.vmspaces.get(id) },
    (events) => this.writeNow(events),
    (error) => this.node.sessions.endSession(this, error.details, error.code),
  );
  private readonly batch = new EventBatch<PmapEventInit>(
    (events) => this.write(events),
    (error) => this.node.sessions.endSession(this, error.details, error.code),
  );

  constructor(node: SessionNode, { name, frameLimit, token, userfault, requester }: SessionOptions) {
    this.node = node;
    this.name = name;
    this.userfault = userfault;
    this.requester = requester;
    this.frameLimit = frameLimit;
    this.token = Buffer.from(token);
    this.holder = node.memory.home.join();
    this.privateFrames = new PrivateFrames({ node, session: this });
  }

  /** Welcomes the virtual kernel on its stream; one that resumes hears what it missed. */
  attach(stream: SessionStream, descriptors?: DescriptorSender): void {
    const { name: node, incarnation } = this.node;
    const value = { node, incarnation, faultToken: this.token, wire: wireSpoken() };
    this.stream = stream;
    this.outbox.use(descriptors);
    this.write([{ event: { case: 'welcome', value } }, ...this.unsent]);
    this.unsent = [];
    this.tellDeadline();
    // Faults of those who wait were lost with the other stream.
    for (const { entries } of this.vmspaces.values())
      for (const { address, pageCount } of entries) this.userfault.wake(address, pageCount * PAGE_BYTES);
    this.tellFrames(stream, [...this.vmspaces.values()]);
  }

  // Bit by bit: nobody waits for it, and of ten thousand it would keep everybody from being served.
  private tellFrames(stream: SessionStream, vmspaces: Vmspace[]): void {
    if (this.stream !== stream) return;
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
    const { stream } = this;
    this.stream = undefined;
    stream?.fail(error);
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
    return this.stream !== undefined;
  }

  /** The virtual kernel said its last word here, and hears what is answered until now. */
  detach(): void {
    this.batch.flush();
    this.stream = undefined;
    this.unsent.push(...this.outbox.take());
    this.outbox.use(undefined);
  }

  private write(events: PmapEventInit[]): void {
    if (this.stream === undefined) this.unsent.push(...events);
    else this.writeNow(this.outbox.pass(events));
  }

  private writeNow(events: PmapEventInit[]): void {
    if (events.length > 0) this.stream?.write(create(SessionResponseSchema, { events }));
  }

  /** Frames that the virtual kernel holds of private memory. */
  get frames(): number {
    return this.privateFrames.held;
  }

  /** Those that it got from the pmap manager whose place this one took. */
  resumeFrames(frames: number): void {
    this.privateFrames.resume(frames);
  }

  /** `changed` tells from now on which vmspaces are new, or not what they were. */
  follow(): void {
    this.changes ??= new Set();
  }

  /** What changed since `follow`; all, where nobody follows. */
  changed(): { vmspaces: Vmspace[]; gone: bigint[] } {
    if (this.changes === undefined) return { vmspaces: [...this.vmspaces.values()], gone: [] };
    const ids = [...this.changes];
    const vmspaces = ids.map((id) => this.vmspaces.get(id)).filter((vmspace) => vmspace !== undefined);
    return { vmspaces, gone: ids.filter((id) => !this.vmspaces.has(id)) };
  }

  unfollow(): void {
    this.changes = undefined;
  }

  /** What the virtual kernel has to hear yet. */
  takeUnsent(): MessageShape<typeof PmapEventSchema>[] {
    this.batch.flush();
    return this.unsent.map((event) => create(PmapEventSchema, event));
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
    this.batch.push(event);
  }

  /** Somebody watches a vmspace, or nobody does any more. */
  trace(vmspace: bigint, on: boolean): void {
    this.send({ event: { case: 'trace', value: { vmspace, on } } });
  }

  /** Handles one event; what goes wrong becomes its answer. */
  receive({ request, event }: VkernelEvent): void {
    try {
      this.handle(request, event);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      this.suspect(event.case, error);
      // Nobody waits for an answer.
      if (error instanceof Lie && request === 0n) throw error;
      this.fail(request, error);
    }
  }

  // What the virtual kernel itself looks after before it asks; what only a program tried is none of that.
  private suspect(what: VkernelEvent['event']['case'], error: RpcError): void {
    if (error instanceof Foreign) this.node.sessions.refused('not-theirs', this, error.details);
    else if (error instanceof Lie) this.node.sessions.refused('message', this, error.details);
    else if (what?.startsWith('vmspace') && SUSPICIOUS.has(error.code))
      this.node.sessions.refused('vmspace', this, `${what}: ${error.details}`);
  }

  private fail(request: bigint, error: RpcError): void {
    if (error.code === Code.ResourceExhausted) this.node.sessions.limited('vkernel', this, error.details);
    const value = { code: error.code, reason: error.details, errno: errnoFor(error) };
    this.send({ request, event: { case: 'failed', value } });
  }

  private expectWorkRoom(): void {
    if (this.working < WORK_MAX) return;
    const reason = `${WORK_MAX} opens and syncs of a virtual kernel are under way`;
    throw tryAgain(Code.ResourceExhausted, reason);
  }

  private settle<T>(request: bigint, work: Promise<T>, answer: (result: T) => void): void {
    this.working++;
    const settled = work.finally(() => {
      this.working--;
    });
    settled.then(answer, (error) => {
      const known = error instanceof RpcError;
      this.fail(request, known ? error : new RpcError(Code.Internal, String(error)));
    });
  }

  private done(request: bigint): void {
    if (request !== 0n) this.send({ request, event: { case: 'done', value: {} } });
  }

  private handle(request: bigint, event: VkernelEvent['event']): void {
    switch (event.case) {
      case 'fault':
        this.fault(event.value);
        return;
      case 'frames': {
        this.privateFrames.account(request, event.value);
        return;
      }
      case 'localFaults': {
        const { count, sampleNs } = countsOf(event.value);
        this.node.statistics.faults('vkernel', count, sampleNs);
        return;
      }
      case 'vmspaceCreate': {
        const vmspace = this.createVmspace(event.value);
        this.send({
          request,
          event: { case: 'vmspaceCreated', value: { vmspace: vmspace.id } },
        });
        return;
      }
      case 'vmspaceDestroy':
        this.destroyVmspace(this.vmspace(event.value.vmspace));
        this.done(request);
        return;
      case 'vmspaceMmap':
        this.mmap(event.value);
        this.done(request);
        return;
      case 'vmspaceMunmap':
        this.munmap(event.value.vmspace, event.value.address, event.value.lengthBytes);
        this.done(request);
        return;
      case 'vmspaceMcontrol':
        this.mcontrol(event.value);
        this.done(request);
        return;
      case 'open':
        this.openDataspace(request, event.value);
        return;
      case 'remove': {
        const { name, vmspace } = event.value;
        this.vmspace(vmspace);
        expectName(name);
        this.expectWorkRoom();
        const requester = asOfNow(this.requester);
        this.settle(request, this.node.removeDataspace(name, { requester }), () => this.done(request));
        return;
      }
      case 'rangeName':
        this.nameRange(event.value);
        this.done(request);
        return;
      case 'memoryEnd': {
        const vmspace = this.vmspace(event.value.vmspace);
        // Once of each.
        if (!vmspace.endsForMemory) this.node.endedForMemory(vmspace, shortReason(event.value.reason));
        vmspace.endsForMemory = true;
        return;
      }
      case 'transfers':
        this.vmspace(event.value.vmspace);
        tellTransfers(this.node.watches, event.value);
        return;
      case 'sync': {
        const { dataspace: id, offset, length } = event.value;
        const { memory, backing } = this.node;
        const dataspace = memory.get(id);
        if (dataspace === undefined)
          throw new RpcError(Code.NotFound, `dataspace ${id} is not open on this node`);
        this.open.expectWriter(id);
        this.expectWorkRoom();
        this.settle(request, backing.sync(dataspace, offset, length), () => this.done(request));
        return;
      }
      case 'lock':
      case 'unlock':
      case 'wait':
      case 'cancelWait':
      case 'wake':
        expectTheirs(event, this.byPid, this.open);
        this.node.sync.relay(this, request, event);
        return;
      case undefined:
        // Of a later version: who waits for an answer gets one.
        if (request !== 0n)
          throw new RpcError(Code.Unimplemented, 'this pmap manager does not know this request');
        return;
      case 'hello':
        throw new Lie('hello does not belong here');
    }
  }

  private openDataspace(request: bigint, value: DataspaceOpen): void {
    const { name, sizeBytes, exclusive, durable } = value;
    const { open } = this;
    const requester = asOfNow(this.requester);
    const vmspace = this.vmspace(value.vmspace);
    expectName(name);
    open.expectRoom(vmspace);
    this.expectWorkRoom();
    vmspace.opening++;
    const opened = this.node.openings.open(name, sizeBytes, { requester, exclusive, durable }).finally(() => {
      vmspace.opening--;
    });
    this.settle(request, opened, ({ dataspace: { id, sizeBytes }, created, ...may }) => {
      let { readOnly } = may;
      if (this.vmspaces.get(vmspace.id) === vmspace) {
        readOnly = open.add(vmspace, id, readOnly);
        this.changes?.add(vmspace.id);
      }
      const about = { dataspace: id, sizeBytes, created, readOnly };
      this.send({ request, event: { case: 'opened', value: about } });
    });
  }

  private nameRange({ vmspace, dataspace, begin, end, name }: RangeName): void {
    this.open.expect(this.vmspace(vmspace), dataspace, 'write');
    if (begin >= end) throw new RpcError(Code.InvalidArgument, `range ${begin} to ${end} is empty`);
    if (Buffer.byteLength(name) > RANGE_NAME_BYTES)
      throw new RpcError(Code.InvalidArgument, `the name of a range has at most ${RANGE_NAME_BYTES} bytes`);
    if (this.node.rangeNames.set(this.requester.user, dataspace, begin, end, name)) return;
    throw new RpcError(
      Code.ResourceExhausted,
      `${this.requester.user} has named ${RANGES_MAX} ranges of dataspace ${dataspace}, or too many people have named some`,
    );
  }

  private vmspace(id: bigint): Vmspace {
    const vmspace = this.vmspaces.get(id);
    if (vmspace === undefined) throw new RpcError(Code.NotFound, `no vmspace ${id}`);
    return vmspace;
  }

  /** Serves a fault. @throws Lie where none can be */
  fault({ vmspace, address, write, atNs: saidNs, offset }: Fault): void {
    if (this.isBroken) return;
    expectFaultAddress(address);
    const atNs = timeOf(saidNs, this.sinceNs);
    const entry = this.vmspaces.get(vmspace)?.find(address);
    // The mapping went away under the fault: whoever waits looks again.
    if (entry === undefined) {
      this.userfault.wake(address, PAGE_BYTES);
      return;
    }
    const page = entry.firstPage + Number(address - entry.address) / PAGE_BYTES;
    if (this.node.watches.isWatched(vmspace)) tellFault(this.node.watches, entry, page, write);
    this.node.memory.step({ type: 'fault', entry, page, write, atNs, offset });
  }

  private createVmspace({ pid, sizeBytes, quotaFrames }: VmspaceCreate): Vmspace {
    if (sizeBytes % BigInt(PAGE_BYTES) !== 0n || sizeBytes > 1n << 33n) {
      throw new RpcError(
        Code.InvalidArgument,
        `size_bytes of a vmspace: a multiple of ${PAGE_BYTES} up to 8 GiB, not ${sizeBytes}`,
      );
    }
    // While another pmap manager is about to go on, what was asked before the last word is done still.
    if (this.node.isLeaving) throw tryAgain(Code.Unavailable, `the pmap manager of ${this.node.name} stops`);
    if (this.vmspaces.size >= VMSPACES_MAX)
      throw new RpcError(Code.ResourceExhausted, `${VMSPACES_MAX} vmspaces are the most of one vkernel`);
    this.node.sessions.expectFree(pid);
    this.node.sessions.expectDescriptor(`the memory of process ${pid}`, this);
    const id = this.node.nextVmspace();
    const file = join(this.node.memoryDir, `anonymous-${id}-${randomUUID().slice(0, 8)}`);
    const about = { id, pid, file, sizeBytes: Number(sizeBytes), quotaFrames: Number(quotaFrames) };
    try {
      return this.addVmspace({ ...about, exists: false });
    } catch (error) {
      throw exhaustedOr(error, `the memory of process ${pid}`);
    }
  }

  /** `exists`: of the pmap manager whose place this one took. */
  addVmspace(about: {
    id: bigint;
    pid: bigint;
    file: string;
    sizeBytes: number;
    quotaFrames: number;
    exists: boolean;
  }): Vmspace {
    const { charges } = this.node.frames;
    const vmspace = new Vmspace({ ...about, session: this, charges });
    this.vmspaces.set(vmspace.id, vmspace);
    this.byPid.set(vmspace.pid, vmspace);
    this.changes?.add(vmspace.id);
    return vmspace;
  }

  destroyVmspace(vmspace: Vmspace, { takeFrames = false } = {}): void {
    this.privateFrames.ends(vmspace);
    this.forgetVmspace(vmspace);
    vmspace.remove({ takeFrames });
    this.node.sync.ownerGone(vmspace.pid);
  }

  /** Its file stays, and what its process holds. */
  forgetVmspace(vmspace: Vmspace): void {
    this.changes?.add(vmspace.id);
    for (const entry of [...vmspace.entries]) this.removeEntry(vmspace, entry);
    this.vmspaces.delete(vmspace.id);
    this.node.watches.end(vmspace.id);
    this.byPid.delete(vmspace.pid);
    this.open.forget(vmspace);
  }

  private mmap(value: VmspaceMmap): void {
    const vmspace = this.vmspace(value.vmspace);
    const dataspace = this.node.memory.get(value.dataspace);
    if (dataspace === undefined)
      throw new RpcError(Code.NotFound, `dataspace ${value.dataspace} is not open on this node`);
    expectMapping(value);
    this.open.expect(vmspace, dataspace.id, value.writable ? 'write' : 'read');
    const firstPage = Number(value.offsetBytes) / PAGE_BYTES;
    const pageCount = Number(value.lengthBytes) / PAGE_BYTES;
    if (firstPage + pageCount > dataspace.pageCount) {
      throw new RpcError(
        Code.OutOfRange,
        `dataspace ${dataspace.name} has ${dataspace.pageCount} pages; ${firstPage} + ${pageCount} go past its end`,
      );
    }
    if (vmspace.entries.size >= ENTRIES_MAX)
      throw new RpcError(Code.ResourceExhausted, `${ENTRIES_MAX} mappings are the most of one process`);
    const { address, lengthBytes, writable } = value;
    const end = address + lengthBytes;
    if (vmspace.entries.overlapping(address, end).length > 0)
      throw new RpcError(Code.AlreadyExists, 'the range overlaps another mapping; unmap that first');
    const linearOffset = linearOffsetOf(value, vmspace.sizeBytes);
    this.addEntry({ vmspace, address, firstPage, pageCount, dataspace, writable, linearOffset });
  }

  addEntry(about: {
    vmspace: Vmspace;
    address: bigint;
    firstPage: number;
    pageCount: number;
    dataspace: SharedDataspace;
    writable: boolean;
    linearOffset?: number | undefined;
  }): MapEntry {
    const entry = new MapEntry(about);
    about.vmspace.entries.add(entry);
    this.changes?.add(about.vmspace.id);
    about.dataspace.entries.add(entry);
    this.node.line.interest(about.dataspace);
    return entry;
  }

  private mcontrol({ vmspace: id, address, lengthBytes, advice }: VmspaceMcontrol): void {
    const vmspace = this.vmspace(id);
    expectRange({ address, lengthBytes });
    const end = address + lengthBytes;
    for (const entry of vmspace.entries.overlapping(address, end)) {
      const from = address > entry.address ? address - entry.address : 0n;
      const firstPage = entry.firstPage + Number(from / BigInt(PAGE_BYTES));
      const pages = Math.ceil(Number(end - entry.address) / PAGE_BYTES) - (firstPage - entry.firstPage);
      const part = pages > 0 ? entry.clip(firstPage, pages) : undefined;
      if (part === undefined) continue;
      const { id: dataspace } = entry.dataspace;
      // It empties the mappings of others, too.
      if (advice === McontrolAdvice.INVALIDATE) this.open.expect(vmspace, dataspace, 'write');
      if (advice === McontrolAdvice.INVALIDATE)
        this.node.memory.step({ type: 'empty', run: { dataspace, ...part } });
      else if (advice === McontrolAdvice.WILL_NEED) {
        const pageCount = Math.min(part.pageCount, ADVISED_PAGES_MAX);
        this.node.memory.step({ type: 'advise', entry, firstPage: part.firstPage, pageCount, mode: 'READ' });
      } else throw new RpcError(Code.InvalidArgument, 'advice: INVALIDATE or WILL_NEED');
    }
  }

  private munmap(id: bigint, address: bigint, lengthBytes: bigint): void {
    const vmspace = this.vmspace(id);
    const entry = vmspace.entries.find(address);
    if (entry?.address !== address || entry.end !== address + lengthBytes)
      throw new RpcError(Code.NotFound, 'no mapping has this address and length');
    this.removeEntry(vmspace, entry);
  }

  removeEntry(vmspace: Vmspace, entry: MapEntry): void {
    this.changes?.add(vmspace.id);
    vmspace.entries.remove(entry);
    entry.dataspace.entries.delete(entry);
    this.node.line.interest(entry.dataspace);
  }

  /** The vkernel is gone; or it is slow, and hears of that when it has nothing to write to any more. */
  close(): void {
    for (const { entries } of this.vmspaces.values()) for (const entry of entries) entry.protect();
    for (const vmspace of [...this.vmspaces.values()]) this.destroyVmspace(vmspace, { takeFrames: true });
    this.node.memory.home.leave(this.holder);
    this.privateFrames.close();
    this.node.sync.sessionGone(this);
    this.userfault.close();
    this.outbox.close();
  }
}
