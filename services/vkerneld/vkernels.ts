import type { FolderRequest, FolderResponse } from '@odonata/proto/vkernel/v1/files';
import type {
  AttachHello,
  AttachRequest,
  ChildClosed,
  ChildInput,
  InputAsked,
  ProcessAsks,
  ProgramLooked,
  SnapshotTold,
  VkernelHas,
} from '@odonata/proto/vkernel/v1/vkernel';
import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { EventLog } from '@odonata/rpc/events.ts';
import type { Limits } from '@odonata/rpc/limits.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { invalidField, overQuota, tryAgain } from '@odonata/rpc/refusal.ts';
import { setHint } from '@odonata/rpc/set-hint.ts';
import { type UidRange, VKERNELS_LIMIT } from '@odonata/rpc/vkernel-uids.ts';
import type { ClusterLooks } from './cluster-look.ts';
import type { Connector } from './connector.ts';
import { policyRecord, VkernelNames } from './names/vkernel-names.ts';
import type { ExitInit, Process, ProcessTable } from './process-table.ts';
import type { ParkedRecord, RecordFile } from './record.ts';
import { isOfService } from './services/service-vkernel.ts';
import { boundsOf } from './vkernel-bounds.ts';
import type { ControlLine, Order } from './vkernel-child.ts';
import { groupOf, keyOf, nameOfKey, VkernelChild } from './vkernel-child.ts';
import { VkernelQuotas } from './vkernel-quotas.ts';
import type { VkernelOwner, VkernelPlace } from './vkernel-settings.ts';

export const DEFAULT_VKERNEL = 'default';
const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;
const DRAIN_POLL_MS = 50;
const LOST_START = 'its start was lost when the line to its supervisor broke';
/** Names of those that are parked: of more than these the ones that nobody used longest are forgotten. */
const PARKED_MAX = 1_000;
/** Processes whose threads do not end, that a virtual kernel may have beside those that run. */
const ENDING_MAX = 4;

/** @throws RpcError INVALID_ARGUMENT */
export function expectVkernelName(field: string, name: string): void {
  if (!NAME.test(name))
    throw invalidField(field, `"${name}" is no name of a virtual kernel: use 1 to 32 of a-z 0-9 -`);
}

/** The virtual kernels of this node: made on demand, one a name; made again on the next demand after a crash. */
export class Vkernels {
  readonly #place: VkernelPlace;
  readonly #table: ProcessTable;
  readonly #file: RecordFile;
  readonly #log: Logger;
  readonly #uids: UidRange | undefined;
  readonly #children = new Map<string, VkernelChild>();
  /** Those that nobody used for a while, the one that was parked first as the first. */
  readonly #parked = new Map<string, ParkedRecord>();
  #lastIndex: number;
  readonly #events: EventLog | undefined;
  readonly #connector: Connector | undefined;
  readonly #limits: Limits | undefined;
  readonly #processesMax: () => number;
  /** What each may have. */
  readonly quotas: VkernelQuotas;
  readonly names: VkernelNames;
  readonly #looks: ClusterLooks | undefined;
  /** Who is whose parent, for the record. */
  homeRecord: () => string;
  /** What a virtual kernel's processes ask of processes. */
  onAsk: ((child: VkernelChild, process: Process, ask: ProcessAsks) => void) | undefined;
  /** Standard streams of children on other nodes. */
  onChildInput: ((parent: Process, input: ChildInput) => void) | undefined;
  onChildClosed: ((parent: Process, closed: ChildClosed) => void) | undefined;
  onInputAsked: ((process: Process, asked: InputAsked) => void) | undefined;
  onChildTaken: ((parent: Process, number: number, bytes: number) => void) | undefined;
  /** Folders on other nodes that it has, and those that it serves to them; and when it has none of them any more. */
  onFolderRequest: ((child: VkernelChild, request: FolderRequest) => void) | undefined;
  onFolderResponse: ((child: VkernelChild, response: FolderResponse) => void) | undefined;
  onFoldersLost: ((child: VkernelChild) => void) | undefined;
  /** What is told of a snapshot, and of a program that was looked for. */
  onSnapshot: ((process: Process, told: SnapshotTold) => void) | undefined;
  onProgramLooked: ((child: VkernelChild, looked: ProgramLooked) => void) | undefined;
  /** A part of the module of a child that is to go elsewhere. */
  onModulePiece: ((process: Process, data: Uint8Array) => void) | undefined;
  #stopping = false;
  #draining = false;
  #leaseEndsMs: number | undefined;

  /** Adopts what an earlier supervisor left running. */
  constructor(options: {
    place: VkernelPlace;
    table: ProcessTable;
    file: RecordFile;
    /** Where we are root: what they run as. */
    uids: UidRange | undefined;
    log: Logger;
    events?: EventLog;
    /** Makes connections of programs; without it they have none. */
    connector?: Connector;
    /** Tells of limits that were hit. */
    limits?: Limits;
    /** Of all of them at one time; 0, and unless given: each has its own bound. */
    processesMax?: () => number;
    /** Looks at the cluster for programs; without it they see nothing of it. */
    looks?: ClusterLooks;
    /** Which names programs may use; without it none was said. */
    names?: VkernelNames;
  }) {
    this.names = options.names ?? new VkernelNames([], keyOf);
    this.#place = options.place;
    this.#table = options.table;
    this.#file = options.file;
    this.#log = options.log;
    this.#events = options.events;
    this.#connector = options.connector;
    this.#limits = options.limits;
    this.#processesMax = options.processesMax ?? (() => 0);
    this.#looks = options.looks;
    this.#uids = options.uids;
    const record = this.#file.read();
    this.quotas = new VkernelQuotas(record.quotas, keyOf, () => this.#place.sandbox.lacksCpu);
    this.homeRecord = () => record.home;
    this.#lastIndex = record.lastVkernel;
    for (const each of record.parked) this.#parked.set(keyOf(each), each);
    for (const process of record.processes) this.#table.adopt(process);
    for (const left of record.vkernels) {
      const child = VkernelChild.adopt(left, this.#place, this.#log, (reason) =>
        this.#ended(keyOf(left), reason),
      );
      if (child !== undefined) this.#children.set(child.key, child);
      else if (!this.#parked.has(keyOf(left))) this.#diedAway(left);
    }
    this.#place.sandbox.clear(new Set(this.list().map(({ record }) => groupOf(record))));
    for (const process of this.#table.running()) {
      if (!this.#children.has(process.vkernel)) this.#table.exited(process.pid, died(process, 'ended'));
    }
    this.#table.onChange = () => this.save();
  }

  #diedAway(left: { user: string; name: string }): void {
    const text = `virtual kernel ${left.name} died while its supervisor was away`;
    this.#events?.add('vkernel-died', text, { vkernel: keyOf(left) });
  }

  /** What keeps virtual kernels from their machine elsewhere, and is not there here. */
  get missingLayers(): string[] {
    return this.#place.sandbox.missing.map(({ name }) => name);
  }

  /** Those of services end by themselves at that time of this machine's clock, unless a later one is told before. */
  holdUntil(endsAtMs: number): void {
    this.#leaseEndsMs = endsAtMs;
    for (const child of this.#children.values()) if (isOfService(child.name)) this.#tellLease(child);
  }

  #tellLease(child: VkernelChild): void {
    if (this.#leaseEndsMs === undefined || !child.isAttached) return;
    child.send({ case: 'lease', value: { endsAtMs: BigInt(this.#leaseEndsMs) } });
  }

  /** What all of its processes may have together, where that is another thing than before. */
  tellLimits(child: VkernelChild): void {
    if (!child.isAttached) return;
    const { diskBytes, descriptors } = this.quotas.of(child.key);
    child.send({ case: 'limits', value: { diskBytes: BigInt(diskBytes), descriptors } });
  }

  #has(child: VkernelChild, { diskBytes, descriptors, kept, ...refused }: VkernelHas): void {
    child.has = { diskBytes: Number(diskBytes), descriptors, kept };
    const { refusedDescriptors, refusedDisk } = refused;
    const { key } = child;
    const may = this.quotas.of(key);
    const about = { vkernel: key };
    if (refusedDescriptors > 0) {
      const text = `virtual kernel ${key} has ${may.descriptors} ${may.descriptors === 1 ? 'descriptor' : 'descriptors'} open, which is all that it may (${setHint(key, '--descriptors')} gives it more)`;
      this.#limits?.hit('vkernel-descriptors', `vkernel:${key}`, text, about);
    }
    if (refusedDisk > 0) {
      const text = `virtual kernel ${key} has all of its ${may.diskBytes} bytes in its home (${setHint(key, '--disk', 'SIZE')} gives it more)`;
      this.#limits?.hit('vkernel-disk', `vkernel:${key}`, text, about);
    }
  }

  /** By name. */
  list(): VkernelChild[] {
    return [...this.#children.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** The virtual kernel of that name and owner, attached; made when it does not run. */
  async demand(
    name: string,
    owner: VkernelOwner,
    signal?: AbortSignal,
    { forService = false } = {},
  ): Promise<VkernelChild> {
    expectVkernelName('start.vkernel', name);
    if (isOfService(name) && !forService && !this.#children.has(keyOf({ ...owner, name })))
      throw new RpcError(
        Code.FailedPrecondition,
        `virtual kernel ${name} is that of a service, and does not run on ${this.#place.node}: vkctl service ls shows where it does`,
      );
    if (this.#draining)
      throw tryAgain(Code.Unavailable, `${this.#place.node} is stopping, and starts no more programs`);
    const key = keyOf({ ...owner, name });
    // One that is being ended takes no more; it is gone in a moment.
    while (this.#children.get(key)?.isDoomed) await this.#children.get(key)!.gone;
    const child = this.#children.get(key) ?? this.#spawn({ ...owner, name });
    child.usedMs = performance.now();
    // Another supervisor was about to park it.
    this.#parked.delete(key);
    await child.attached(signal);
    return child;
  }

  find(key: string): VkernelChild | undefined {
    return this.#children.get(key);
  }

  /** @throws RpcError RESOURCE_EXHAUSTED where it may have no process more */
  expectProcessRoom({ key }: VkernelChild): void {
    const most = this.#processesMax();
    if (most > 0 && this.#table.running().length >= most) {
      const { node } = this.#place;
      const text = `${node} has ${most} processes, which is all that this cluster may have on that machine`;
      const hit = this.#limits?.hit('lodger-processes', `node:${node}`, text, { node });
      throw hit ?? overQuota(`node:${node}`, text);
    }
    const { processes } = this.quotas.of(key);
    if (processes === 0 || this.#table.running(key).length < processes) return;
    const text = `virtual kernel ${key} has ${processes} ${processes === 1 ? 'process' : 'processes'}, which is all that it may (${setHint(key, '--processes')} gives it more)`;
    const hit = this.#limits?.hit('vkernel-processes', `vkernel:${key}`, text, { vkernel: key });
    throw hit ?? overQuota(`vkernel:${key}`, text);
  }

  /** Lets a virtual kernel have what one process more may take, beside all that has not ended, with its thread. */
  makeRoom(child: VkernelChild, { quotaBytes }: Process): void {
    // What those that ended left in files of memory, shared dataspaces, is no longer in their quotas, and is there.
    this.bound(child, boundsOf(1, quotaBytes).memoryBytes);
  }

  /** Holds it to what it may have now. @param moreBytes beside what is there */
  bound({ key, record }: VkernelChild, moreBytes?: number): void {
    const running = this.#table.running(key);
    const quotas = running.reduce((sum, each) => sum + each.quotaBytes, 0);
    const bounds = boundsOf(running.length, quotas, this.quotas.of(key));
    this.#place.sandbox.bound(groupOf(record), { ...bounds, ...(moreBytes !== undefined && { moreBytes }) });
  }

  /** How long it was held back, as it had all of its processor time. */
  throttledMs({ record }: VkernelChild): number {
    return this.#place.sandbox.throttledMs(groupOf(record));
  }

  /** Ends one with all that runs in it. @returns how many processes; undefined: it does not run */
  async halt(key: string): Promise<number | undefined> {
    const child = this.#children.get(key);
    if (child === undefined) return undefined;
    const { length } = this.#table.running(key);
    await child.stop();
    return length;
  }

  /** Ends the OS process of one in which nothing runs; it is known still. */
  async park(child: VkernelChild): Promise<void> {
    const { key, name, user } = child;
    // First: another supervisor may find it ended. Who asks for it meanwhile makes it anew.
    this.#parked.set(key, { name, user, sinceMs: Date.now() });
    const [oldest] = this.#parked.keys();
    if (this.#parked.size > PARKED_MAX && oldest !== undefined) this.#parked.delete(oldest);
    this.save();
    await child.stop();
  }

  /** By key. */
  get parked(): ReadonlyMap<string, ParkedRecord> {
    return this.#parked;
  }

  /** It is known no more. False: it was not parked. */
  forgetParked(key: string): boolean {
    if (!this.#parked.delete(key)) return false;
    this.save();
    return true;
  }

  /** To the virtual kernel of a process. UNAVAILABLE while that has no line. */
  send(process: Process, order: Order): void {
    const child = this.#children.get(process.vkernel);
    if (child === undefined)
      throw new RpcError(Code.Unavailable, `virtual kernel ${nameOfKey(process.vkernel)} does not run`);
    child.send(order);
  }

  /** The same where nothing is lost when it does not arrive: the process ends, or gets all credit with a new line. */
  tell(process: Process, order: Order): void {
    try {
      this.send(process, order);
    } catch (error) {
      this.#log.debug({ err: error, pid: process.pid, order: order.case }, 'not told to the virtual kernel');
    }
  }

  /** The virtual kernel of a hello. PERMISSION_DENIED for one that we did not start. */
  expectOurs(hello: AttachHello): VkernelChild {
    const child = this.#children.get(hello.name);
    if (child === undefined || child.record.token !== hello.token || this.#stopping) {
      throw new RpcError(Code.PermissionDenied, `virtual kernel "${hello.name}" is not one of ours`);
    }
    return child;
  }

  /** Takes its line. */
  attach(hello: AttachHello, line: ControlLine, descriptors?: number): VkernelChild {
    const child = this.expectOurs(hello);
    const known = new Set(hello.pids);
    for (const process of this.#table.running(hello.name)) {
      if (known.delete(process.pid)) this.#resume(process);
      else {
        // An end that nobody told, or a start that went with the line.
        const began = process.state !== ProcessState.STARTING;
        const why = began ? 'ended while its supervisor was away' : LOST_START;
        this.#table.exited(process.pid, died(process, why));
      }
    }
    for (const pid of known) {
      const { user } = child;
      const record = {
        pid: pid.toString(),
        vkernel: hello.name,
        user,
        command: ['?'],
        startedAtMs: Date.now(),
      };
      if (this.#table.find(pid) === undefined) this.#resume(this.#table.adopt(record));
    }
    child.asksInput = hello.asksInput;
    child.takesSnapshots = hello.takesSnapshots;
    child.takeLine(line, descriptors);
    if (isOfService(child.name)) this.#tellLease(child);
    this.tellLimits(child);
    this.onFoldersLost?.(child);
    for (const process of this.#table.running(hello.name)) {
      if (process.watcher === undefined)
        child.send({ case: 'input', value: { pid: process.pid, end: true } });
    }
    return child;
  }

  /** What a virtual kernel tells of its processes. */
  receive(child: VkernelChild, { event }: AttachRequest): void {
    if (event.case === undefined || event.case === 'hello') return;
    if (event.case === 'look') {
      void this.#looks?.serve(child, event.value);
      return;
    }
    if (event.case === 'has') {
      this.#has(child, event.value);
      return;
    }
    if (event.case === 'folderRequest') {
      this.onFolderRequest?.(child, event.value);
      return;
    }
    if (event.case === 'folderResponse') {
      this.onFolderResponse?.(child, event.value);
      return;
    }
    if (event.case === 'programLooked') {
      this.onProgramLooked?.(child, event.value);
      return;
    }
    const process = this.#table.find(event.value.pid);
    if (process?.vkernel !== child.key) {
      this.#log.warn(
        { pid: event.value.pid, event: event.case, vkernel: child.name },
        'told of a process not its own',
      );
      return;
    }
    const { pid } = process;
    switch (event.case) {
      case 'started':
        this.#table.started(pid);
        return;
      case 'output': {
        const { output } = event.value;
        if (output === undefined) return;
        const takenBytes = BigInt(output.data.length);
        const watched = this.#table.output(pid, output);
        if (!watched) this.tell(process, { case: 'outputTaken', value: { pid, takenBytes } });
        return;
      }
      case 'ending':
        this.#table.ending(pid, event.value.exit ?? died(process, 'ended'));
        this.#endOverdue(child);
        return;
      case 'exited':
        this.#table.exited(pid, event.value.exit ?? died(process, 'ended'));
        this.#endOverdue(child);
        return;
      case 'usage':
        this.#table.used(process, event.value);
        return;
      case 'connect':
        void this.#connector?.serve(child, process, event.value);
        return;
      case 'held':
        this.#table.held(pid, event.value.stopped, event.value.signal);
        return;
      case 'ask':
        this.onAsk?.(child, process, event.value);
        return;
      case 'snapshot':
        this.onSnapshot?.(process, event.value);
        return;
      case 'childInput':
        this.onChildInput?.(process, event.value);
        return;
      case 'childClosed':
        this.onChildClosed?.(process, event.value);
        return;
      case 'inputAsked':
        this.onInputAsked?.(process, event.value);
        return;
      case 'childTaken':
        this.onChildTaken?.(process, event.value.number, event.value.bytes);
        return;
      case 'modulePiece':
        this.onModulePiece?.(process, event.value.data);
        return;
      case 'stdinTaken':
        process.watcher?.inputTaken(Number(event.value.takenBytes));
        return;
    }
  }

  /** Starts no more programs. Resolves when all have ended, or after so long. @returns how many still run */
  async drain(drainMs: number): Promise<number> {
    this.#draining = true;
    const endMs = performance.now() + drainMs;
    while (this.#table.running().length > 0 && performance.now() < endMs) await delay(DRAIN_POLL_MS);
    return this.#table.running().length;
  }

  /** Ends all of them. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#children.values()].map((child) => child.stop()));
  }

  #spawn(who: VkernelOwner & { name: string }): VkernelChild {
    const key = keyOf(who);
    if (this.#stopping) throw tryAgain(Code.Unavailable, `${this.#place.node} is stopping`);
    if (this.#children.size >= VKERNELS_LIMIT) {
      throw new RpcError(
        Code.ResourceExhausted,
        `${VKERNELS_LIMIT} virtual kernels run on ${this.#place.node} already: use one of them, or another node`,
      );
    }
    this.#lastIndex += 1;
    const what = { index: this.#lastIndex, uid: this.#freeUid() };
    const child: VkernelChild = VkernelChild.spawn(who, what, this.#place, this.#log, {
      placed: () => {
        this.bound(child);
        this.save();
      },
      ended: (reason) => this.#ended(key, reason),
    });
    this.#children.set(key, child);
    this.#parked.delete(key);
    this.save();
    return child;
  }

  /** One that no other virtual kernel has. Each is over with all its processes before it is another one's. */
  #freeUid(): number | undefined {
    if (this.#uids === undefined) return undefined;
    const taken = new Set(this.list().map(({ record }) => record.uid));
    let uid = this.#uids.first;
    while (taken.has(uid)) uid += 1;
    return uid;
  }

  /**
   * Ends a virtual kernel for threads that do not end: V8's compiler heeds no order, and only the end of the process stops it. As
   * long as others run there, a few of these are borne, in their places; what they take counts.
   */
  #endOverdue(child: VkernelChild): void {
    if (child.isDoomed || this.#stopping) return;
    const left = this.#table.running(child.key);
    const ending = left.filter(({ state }) => state === ProcessState.ENDING);
    const [first] = ending;
    if (first === undefined || (ending.length < left.length && ending.length <= ENDING_MAX)) return;
    const others = ending.length > 1 ? `, nor do those of ${ending.length - 1} more` : '';
    const why = ending.length < left.length ? '' : ', and nothing else runs there';
    const reason = `the thread of process ${first.pid} (${first.command[0]}) does not end, as while V8 compiles a large function${others}${why}`;
    this.#events?.add('vkernel-ended-for-threads', `virtual kernel ${child.name} is ended: ${reason}`, {
      vkernel: child.key,
      pid: first.pid,
    });
    this.#log.warn({ vkernel: child.key, pids: ending.map(({ pid }) => pid) }, `ending it: ${reason}`);
    child.endFor(reason);
  }

  #resume(process: Process): void {
    this.#table.started(process.pid);
  }

  #ended(key: string, reason: string): void {
    const child = this.#children.get(key);
    if (child?.ranOut) this.#events?.add('vkernel-ended-for-memory', reason, { vkernel: key });
    if (child?.hasDied && !this.#parked.has(key)) this.#events?.add('vkernel-died', reason, { vkernel: key });
    if (child !== undefined) {
      this.#place.sandbox.ended(groupOf(child.record));
      this.onFoldersLost?.(child);
    }
    this.#children.delete(key);
    for (const { pid } of this.#table.running(key)) {
      this.#table.exited(pid, { code: 137, signal: 'SIGKILL', reason, stack: '' });
    }
    this.save();
  }

  /** Keeps what the next supervisor must know. */
  save(): void {
    this.#file.save({
      home: this.homeRecord(),
      lastNumber: this.#table.lastNumber,
      lastVkernel: this.#lastIndex,
      vkernels: [...this.#children.values()].map((child) => child.record),
      quotas: [...this.quotas.all()].map(([, defined]) => ({ ofService: false, ...defined })),
      names: [...this.names.all()].map(([, said]) => policyRecord(said)),
      parked: [...this.#parked.values()],
      processes: this.#table
        .running()
        .map(({ pid, vkernel, user, command, startedAtMs, quotaBytes, connect, dirs }) => {
          const about = {
            command: [...command],
            startedAtMs,
            quotaBytes,
            connect: [...connect],
            dirs: [...dirs],
          };
          return { pid: pid.toString(), vkernel, user, ...about };
        }),
    });
  }
}

function died(process: Process, how: string): ExitInit {
  return {
    code: 137,
    signal: 'SIGKILL',
    reason: `virtual kernel ${nameOfKey(process.vkernel)}: ${how}`,
    stack: '',
  };
}
