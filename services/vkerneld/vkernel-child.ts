import { closeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AttachResponseSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { bundled } from '@odonata/rpc/bundle.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { startTicksOf } from '@odonata/rpc/process-stat.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import { vkernelSockets } from '@odonata/rpc/vkernel-sockets.ts';
import { type DescriptorLabel, DescriptorSender } from '@odonata/userfault/descriptor-line.ts';
import { makeIdMapping } from '@odonata/userfault/sandbox/id-mapping.ts';
import type { Confined, Sandbox } from '@odonata/userfault/sandbox/sandbox.ts';
import type { VkernelRecord } from './record.ts';
import { newToken } from './record.ts';
import { directoryLabel } from './vkernel/descriptor-label.ts';
import { boundsOf } from './vkernel-bounds.ts';
import { VkernelLog } from './vkernel-log.ts';
import { identityOf, settingsOf, type VkernelOwner, type VkernelPlace } from './vkernel-settings.ts';

export type Order = NonNullable<MessageInitShape<typeof AttachResponseSchema>['event']>;

/** The stream of a virtual kernel. */
export interface ControlLine {
  send(order: Order): void;
  /** When what was sent is on its way, or nobody waits any more. */
  drained(signal: AbortSignal): Promise<void>;
  end(error: RpcError): void;
}

export const keyOf = ({ user, name }: { user: string; name: string }): string => `${user}/${name}`;

/** `default` of `alice/default` */
export const nameOfKey = (key: string): string => key.slice(key.indexOf('/') + 1);

/** In the environment of its process, where nothing else is: `vkctl down` knows it by this. */
const MARK = 'ODONATA_VKERNEL_CONTROL';
const ENTRY = (): string => bundled(fileURLToPath(new URL('vkernel/confined.ts', import.meta.url)));

const RAN_OUT =
  'the memory of its control group ran out: its programs took more beside their memory than there is room for; raise it with --memory of a program, or give programs virtual kernels of their own with --vkernel NAME';

/** A word for its control group, that no other virtual kernel of the node has had. */
export const groupOf = ({ index }: { index: number }): string => `vkernel-${index}`;

/** From spawn to its hello: the start of Node and of its code, on a machine that does much else. */
const ATTACH_MS = 30_000;
/** A virtual kernel without supervisor ends itself after 30 s; one that does neither hangs. */
const ALONE_MS = 40_000;
const STOP_MS = 3_000;
/** Of what it said on its line, once its process is gone. */
const LAST_READ_MS = 2_000;
const ADOPTED_POLL_MS = 500;

/**
 * One virtual kernel: an OS process and, while it is attached, its line.
 *
 *     spawned --its process is there--> placed --hello--> attached <--hello, line breaks--> alone
 *         \_________________________________\_________________\_______________________________\____> dead
 *
 * One that an earlier supervisor spawned is adopted: alone, until it attaches again or ends.
 */
export class VkernelChild {
  /** What all of its processes have together, as it told last. */
  has: { diskBytes: number; descriptors: number; kept?: number | undefined } = {
    diskBytes: 0,
    descriptors: 0,
  };
  /** When somebody asked for it last, or something ran there, by performance.now(). */
  usedMs = performance.now();
  readonly record: VkernelRecord;
  readonly #sandbox: Sandbox;
  #log: Logger;
  readonly #ended: (reason: string) => void;
  #line: ControlLine | undefined;
  /** The way of descriptors, as long as there is a line. */
  #descriptors: DescriptorSender | undefined;
  #dead: RpcError | undefined;
  #waiting = new Set<(error?: RpcError) => void>();
  #aloneTimer: NodeJS.Timeout | undefined;
  #stopping = false;
  #idMapping: Promise<number | undefined> | undefined;
  /** It said hello once: from then on it listens to SIGTERM. */
  #greeted = false;
  /** Its process is to end as soon as it is there. */
  #doomed = false;
  /** What it did not do in time. */
  #late: string | undefined;
  /** Why we end it, where its programs made us. */
  #endedFor: string | undefined;
  readonly #gone = Promise.withResolvers<void>();
  /** One of ours that has ended; one that was adopted tells nobody. */
  #over = false;
  readonly #output: VkernelLog;
  /** It ended as the memory of its control group ran out. */
  ranOut = false;
  /** Its processes ask for input of another node; those of an older release have it sent. */
  asksInput = false;
  /** One of an older release knows nothing of snapshots, and of programs by their digest. */
  takesSnapshots = false;
  /** It ended by itself, or somebody else ended it. */
  hasDied = false;

  private constructor(
    record: VkernelRecord,
    { socketDir, sandbox }: VkernelPlace,
    log: Logger,
    ended: (reason: string) => void,
  ) {
    this.record = record;
    this.#sandbox = sandbox;
    this.#output = new VkernelLog({ socketDir, index: record.index, vkernel: keyOf(record), log });
    this.#log = log.child({ vkernel: keyOf(record) });
    if (record.hostPid !== 0) this.#log = this.#log.child({ hostPid: record.hostPid });
    this.#ended = ended;
  }

  static spawn(
    { name, user, groups }: VkernelOwner & { name: string },
    { index, uid }: { index: number; uid: number | undefined },
    place: VkernelPlace,
    log: Logger,
    { placed, ended }: { placed: () => void; ended: (reason: string) => void },
  ) {
    const token = newToken();
    const about = { name, user, groups: [...groups], index, uid, token };
    const record = { ...about, hostPid: 0, startTicks: '', startedAtMs: Date.now() };
    const vkernel = new VkernelChild(record, place, log, ended);
    const output = vkernel.#output.make();
    const confined = place.sandbox.start({
      name: groupOf(record),
      entry: ENTRY(),
      program: place.program ?? bundled(fileURLToPath(new URL('vkernel/main.ts', import.meta.url))),
      uid,
      settings: {
        ...settingsOf(keyOf({ user, name }), index, token, place),
        ...identityOf({ name, user, groups }, place),
      },
      mark: [MARK, `unix:${vkernelSockets(place.socketDir).control}`],
      ...{ bounds: boundsOf(0), output },
    });
    void confined.hostPid.catch(() => {}).then(() => closeSync(output));
    void vkernel.#follow(confined, placed);
    vkernel.#awaitLine(ATTACH_MS, 'it did not attach');
    return vkernel;
  }

  /** One that runs since an earlier supervisor; undefined when it ended meanwhile. */
  static adopt(
    record: VkernelRecord,
    place: VkernelPlace,
    log: Logger,
    ended: (reason: string) => void,
  ): VkernelChild | undefined {
    if (startTicksOf(record.hostPid) !== record.startTicks) return undefined;
    const vkernel = new VkernelChild(record, place, log, ended);
    vkernel.#output.follow();
    vkernel.#greeted = true;
    vkernel.#poll();
    vkernel.#awaitLine(ALONE_MS, 'it did not come back to its supervisor');
    return vkernel;
  }

  get name(): string {
    return this.record.name;
  }

  /** Whose it is. */
  get user(): string {
    return this.record.user;
  }

  /** Among those of all users. */
  get key(): string {
    return keyOf(this.record);
  }

  /** Its process is to end: it takes no more programs. */
  get isDoomed(): boolean {
    return this.#doomed;
  }

  get isAttached(): boolean {
    return this.#line !== undefined;
  }

  /** Resolves when it has ended. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Ends it at once, with all that is in it. */
  endFor(reason: string): void {
    if (this.#endedFor !== undefined) return;
    this.#endedFor = reason;
    this.#signal('SIGKILL');
  }

  /** Resolves while it has a line; UNAVAILABLE when it ends before that. */
  async attached(signal?: AbortSignal): Promise<void> {
    if (this.#line !== undefined) return;
    if (this.#dead !== undefined) throw this.#dead;
    await new Promise<void>((resolve, reject) => {
      const done = (error?: RpcError) => {
        this.#waiting.delete(done);
        signal?.removeEventListener('abort', cancel);
        if (error === undefined) resolve();
        else reject(error);
      };
      const cancel = () => done(new RpcError(Code.Cancelled, 'the caller went away'));
      this.#waiting.add(done);
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  /** UNAVAILABLE without a line. */
  send(order: Order): void {
    if (this.#line === undefined) {
      throw this.#dead ?? new RpcError(Code.Unavailable, `virtual kernel ${this.name} is not attached`);
    }
    this.#line.send(order);
  }

  /** When it takes more: whoever sends much waits for that. */
  async drained(signal: AbortSignal): Promise<void> {
    await this.#line?.drained(signal);
  }

  /** By which files of granted directories are its own; undefined: they are as they are. */
  idMapping(): Promise<number | undefined> {
    const { uid } = this.record;
    this.#idMapping ??= uid === undefined ? Promise.resolve(undefined) : makeIdMapping(uid);
    return this.#idMapping;
  }

  /** Passes directories of a process on, before its start. @throws RpcError UNAVAILABLE */
  sendDirectories(pid: bigint, fds: readonly number[]): void {
    try {
      for (const [i, fd] of fds.entries()) this.sendDescriptor(directoryLabel(pid, i), fd);
    } catch (error) {
      if (error instanceof RpcError) throw error;
      throw tryAgain(Code.Unavailable, `virtual kernel ${this.name} does not take directories: ${error}`);
    }
  }

  /** Passes a descriptor on, before what is told of it. @throws RpcError UNAVAILABLE; SystemCallError where the line is broken */
  sendDescriptor(label: DescriptorLabel, fd: number): void {
    if (this.#descriptors?.send(label, fd) === true) return;
    throw tryAgain(Code.Unavailable, `virtual kernel ${this.name} takes no descriptors right now; try again`);
  }

  /** It said hello. An earlier line of its is ended. @param descriptors the connection for those, if it has one */
  takeLine(line: ControlLine, descriptors?: number): void {
    this.#line?.end(new RpcError(Code.Aborted, 'a later line of this virtual kernel took its place'));
    this.#dropDescriptors();
    this.#line = line;
    if (descriptors !== undefined) this.#descriptors = new DescriptorSender(descriptors);
    this.#greeted = true;
    clearTimeout(this.#aloneTimer);
    this.#log.info('virtual kernel attached');
    for (const waiting of [...this.#waiting]) waiting();
  }

  /** The line broke. The process may live, and come back. */
  lostLine(line: ControlLine): void {
    if (this.#line !== line) return;
    this.#line = undefined;
    this.#dropDescriptors();
    if (this.#dead === undefined && !this.#stopping) this.#awaitLine(ALONE_MS, 'its line broke');
  }

  /** Ends it and its processes; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#doomed = true;
    clearTimeout(this.#aloneTimer);
    if (this.#line !== undefined) this.#line.send({ case: 'shutdown', value: {} });
    else this.#signal(this.#greeted ? 'SIGTERM' : 'SIGKILL');
    const endMs = performance.now() + STOP_MS;
    while (this.#alive()) {
      if (performance.now() > endMs) this.#signal('SIGKILL');
      await delay(20);
    }
    // How its programs ended it told last, and that may not have been read yet.
    const readMs = performance.now() + LAST_READ_MS;
    while (this.#line !== undefined && performance.now() < readMs) await delay(5);
    this.#die('ended');
  }

  #dropDescriptors(): void {
    this.#descriptors?.close();
    this.#descriptors = undefined;
  }

  async #follow({ hostPid, ended }: Confined, placed: () => void): Promise<void> {
    void ended.then((how) => {
      this.#over = true;
      // What watched over it is gone: then so is it.
      this.#signal('SIGKILL');
      this.#die(how);
    });
    try {
      const { record } = this;
      record.hostPid = await hostPid;
      record.startTicks = startTicksOf(record.hostPid) ?? '';
      this.#log = this.#log.child({ hostPid: record.hostPid });
      this.#log.info('virtual kernel started');
      if (this.#doomed) this.#signal('SIGKILL');
      else placed();
    } catch (error) {
      // Its end is told beside this.
      this.#log.error({ err: error }, 'the virtual kernel did not start');
    }
  }

  /** One that is not our child tells nobody when it ends. */
  #poll(): void {
    const look = ownTurn({ timer: 'poll', vkernel: this.key }, () => {
      if (this.#alive()) return;
      clearInterval(timer);
      this.#die('ended');
    });
    const timer = setInterval(look, ADOPTED_POLL_MS);
  }

  #alive(): boolean {
    if (this.record.hostPid === 0) return !this.#over;
    return startTicksOf(this.record.hostPid) === this.record.startTicks;
  }

  #awaitLine(patienceMs: number, why: string): void {
    clearTimeout(this.#aloneTimer);
    const late = ownTurn({ timer: 'alone', vkernel: this.key }, () => {
      this.#log.error({ patienceMs }, `ending the virtual kernel: ${why}`);
      this.#late = why;
      this.#signal('SIGKILL');
    });
    this.#aloneTimer = setTimeout(late, patienceMs);
  }

  /** Only to the process that we mean. */
  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#doomed = true;
    if (this.record.hostPid === 0 || !this.#alive()) return;
    try {
      process.kill(this.record.hostPid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  #die(ending: string): void {
    if (this.#dead !== undefined) return;
    this.ranOut = !this.#stopping && this.#sandbox.ranOut(groupOf(this.record));
    this.hasDied = !this.#stopping && !this.ranOut && this.#endedFor === undefined;
    const words = this.hasDied ? this.#output.lastWords() : '';
    const how = this.ranOut ? RAN_OUT : this.#late === undefined ? ending : `${ending}: ${this.#late}`;
    clearTimeout(this.#aloneTimer);
    const reason = this.#stopping
      ? `virtual kernel ${this.name} was shut down`
      : `virtual kernel ${this.name} ${this.#endedFor === undefined ? `died (${how})` : `was ended: ${this.#endedFor}`}${words && `: ${words}`}`;
    this.#dead = new RpcError(Code.Unavailable, reason);
    void this.#idMapping?.then((fd) => fd !== undefined && closeSync(fd));
    if (this.#stopping) this.#log.info({ how }, 'virtual kernel ended');
    else this.#log.error({ how, words }, 'virtual kernel died');
    this.#line?.end(this.#dead);
    this.#line = undefined;
    this.#dropDescriptors();
    this.#output.ended();
    for (const waiting of [...this.#waiting]) waiting(this.#dead);
    this.#ended(reason);
    this.#gone.resolve();
  }
}
