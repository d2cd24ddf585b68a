// What programs ask of processes, as their virtual kernels pass it on. Each ask is answered once: with what was asked for, or with
// why not, as WASI numbers it.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Which } from '@odonata/processes/family.ts';
import type { ProcessAnsweredSchema, ProcessAsks, TerminalAsk } from '@odonata/proto/vkernel/v1/vkernel';
import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { metBug } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { Process, ProcessTable } from '../process-table.ts';
import type { Ptys } from '../pty/ptys.ts';
import { checkSignal } from '../signals.ts';
import { Errno, WasiError } from '../vkernel/wasi/errno.ts';
import { TERMINAL_STOPS } from '../vkernel/wasi/signals.ts';
import { nameOfKey, type VkernelChild } from '../vkernel-child.ts';
import type { Vkernels } from '../vkernels.ts';
import type { Asking } from './asking.ts';
import { indexOfPid, type Peers } from './peers.ts';
import type { Relatives } from './relatives.ts';
import type { Spawns } from './spawns.ts';

const ASK_MS = 5_000;

type Answer = Omit<MessageInitShape<typeof ProcessAnsweredSchema>, 'pid' | 'number' | '$typeName'>;

const errnoOfCode: Partial<Record<Code, number>> = {
  [Code.NotFound]: Errno.srch,
  [Code.PermissionDenied]: Errno.perm,
  [Code.InvalidArgument]: Errno.inval,
  [Code.ResourceExhausted]: Errno.again,
  [Code.Unavailable]: Errno.hostunreach,
  [Code.DeadlineExceeded]: Errno.timedout,
};

export function errnoOf(error: unknown): number | undefined {
  if (error instanceof WasiError) return error.errno;
  return error instanceof RpcError ? (errnoOfCode[error.code] ?? Errno.io) : undefined;
}

export class Asks {
  readonly #node: number;
  readonly #table: ProcessTable;
  readonly #vkernels: Vkernels;
  readonly #relatives: Relatives;
  readonly #peers: Peers;
  readonly #spawns: Spawns;
  readonly #ptys: Ptys;
  readonly #log: Logger;

  constructor(options: {
    table: ProcessTable;
    vkernels: Vkernels;
    relatives: Relatives;
    peers: Peers;
    spawns: Spawns;
    ptys: Ptys;
    log: Logger;
  }) {
    this.#node = options.relatives.home.node;
    this.#table = options.table;
    this.#vkernels = options.vkernels;
    this.#relatives = options.relatives;
    this.#peers = options.peers;
    this.#spawns = options.spawns;
    this.#ptys = options.ptys;
    this.#log = options.log;
    this.#vkernels.onAsk = (child, process, ask) => void this.serve(child, process, ask);
  }

  async serve(child: VkernelChild, process: Process, ask: ProcessAsks): Promise<void> {
    const { pid } = process;
    const { number } = ask;
    let answer: Answer | undefined;
    try {
      answer = await this.#run(child, process, ask);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) metBug(this.#log, error, { pid, ask: ask.what.case });
      else this.#log.debug({ err: error, pid, ask: ask.what.case }, 'an ask of a program failed');
      answer = { errno: errno ?? Errno.io };
    }
    if (answer !== undefined)
      this.#vkernels.tell(process, { case: 'answered', value: { pid, number, ...answer } });
  }

  /** Undefined: the answer comes by another way. */
  async #run(
    child: VkernelChild,
    process: Process,
    { number, settled, what }: ProcessAsks,
  ): Promise<Answer | undefined> {
    const { home } = this.#relatives;
    const { pid } = process;
    const asking = { user: process.user, vkernel: nameOfKey(process.vkernel) };
    switch (what.case) {
      case 'spawn':
        return await this.#spawns.spawn(child, process, number, what.value);
      case 'wait': {
        const { which, hang, stopped, continued } = what.value;
        const how = { hang, settled, stopped, continued };
        this.#relatives.changed(home.wait(pid, number, this.#which(pid, which), how));
        return undefined;
      }
      case 'cancel':
        home.cancelWait(pid, what.value.wait);
        return undefined;
      case 'signal':
        await this.#signal(process, asking, what.value.target, what.value.signal);
        return {};
      case 'identify': {
        const target = what.value.target || pid;
        if (indexOfPid(target) === this.#node)
          return { process: target, relatives: this.identify(asking, target) };
        const peer = await this.#peers.byIndex(indexOfPid(target));
        const { relatives } = await peer.client.identify(
          { asker: this.#asker(asking), target },
          { deadlineMs: ASK_MS },
        );
        return { process: target, relatives };
      }
      case 'terminal': {
        const own = home.find(pid);
        if (own === undefined) throw new WasiError(Errno.notty);
        return await this.#terminal(asking, own, what.value);
      }
      case 'group':
        await this.#group(process, asking, what.value);
        return {};
      case undefined:
        return { errno: Errno.nosys };
    }
  }

  /** A process of this node that whoever asks may know of: of others they do not hear that there are any. @throws WasiError ESRCH */
  reach(asking: Asking, pid: bigint): Process {
    const process = this.#table.find(pid);
    if (process === undefined || process.exit !== undefined || !isSame(asking, process))
      throw new WasiError(Errno.srch);
    return process;
  }

  identify(asking: Asking, pid: bigint): { parent: bigint; group: bigint; session: bigint } {
    this.reach(asking, pid);
    const own = this.#relatives.home.find(pid);
    if (own === undefined) throw new WasiError(Errno.srch);
    return { parent: own.parent, group: own.group, session: own.session };
  }

  /** To a process of this node, or (below 0) the members of a group or session here. @throws WasiError ESRCH */
  signalHere(asking: Asking, target: bigint, signal: string, ofSession = false): void {
    const name = signal === '' ? '' : checkSignal(signal);
    const reached = target < 0n ? this.#members(asking, -target, ofSession) : [this.reach(asking, target)];
    if (reached.length === 0) throw new WasiError(Errno.srch);
    if (name === '') return;
    for (const { pid } of reached) {
      const process = this.#table.find(pid);
      if (process !== undefined)
        this.#vkernels.tell(process, {
          case: 'signal',
          value: { pid, signal: name, orphaned: this.#isOrphaned(pid, name) },
        });
    }
  }

  #isOrphaned(pid: bigint, signal: string): boolean {
    const { home } = this.#relatives;
    const group = home.find(pid)?.group;
    return TERMINAL_STOPS.has(signal) && group !== undefined && home.isOrphaned(group);
  }

  /** Of a process here, for its parent, or for itself. @throws WasiError ESRCH, EPERM */
  regroup(asking: Asking, target: bigint, parent: bigint, group: bigint): void {
    this.reach(asking, target);
    const own = this.#relatives.home.find(target);
    if (own === undefined || (target !== parent && own.parent !== parent)) throw new WasiError(Errno.srch);
    if (own.session === target) throw new WasiError(Errno.perm);
    this.#relatives.home.setGroup(target, group);
    this.#relatives.changed([]);
  }

  /** It is at the node of whoever leads the session. @throws WasiError, RpcError */
  async #terminal(
    asking: Asking,
    { group, session }: { group: bigint; session: bigint },
    ask: TerminalAsk,
  ): Promise<Answer> {
    const orphaned = this.#relatives.home.isOrphaned(group);
    if (indexOfPid(session) === this.#node)
      return { terminal: this.#ptys.ask(asking, { group, session, orphaned }, ask) };
    const peer = await this.#peers.byIndex(indexOfPid(session)).catch(() => {
      throw new WasiError(Errno.notty);
    });
    const request = { asker: this.#asker(asking), session, group, orphaned, ask };
    const { errno, terminal } = await peer.client.terminal(request, { deadlineMs: ASK_MS });
    return { errno, terminal };
  }

  /** To all of a group of a terminal, or of a session, of whoever it is of; who is not there does not mind. */
  signalGroup(asking: Asking, group: bigint, signal: string, ofSession = false): void {
    try {
      this.signalHere(asking, -group, signal, ofSession);
    } catch (error) {
      if (!(error instanceof WasiError)) throw error;
    }
    void this.#signalElsewhere(asking, group, signal, ofSession)
      .then((sent) => Promise.allSettled(sent))
      .catch((error: unknown) =>
        this.#log.debug({ err: error, group: String(group) }, 'a group was not signalled everywhere'),
      );
  }

  /** To the members of a group on other nodes. @returns one promise a node */
  async #signalElsewhere(
    asking: Asking,
    group: bigint,
    signal: string,
    session = false,
  ): Promise<Promise<unknown>[]> {
    const request = { asker: this.#asker(asking), target: -group, signal, session };
    const peers = await this.#peers.all();
    return peers.map(({ client }) => client.signal(request, { deadlineMs: ASK_MS }));
  }

  #members(asking: Asking, of: bigint, ofSession: boolean): Process[] {
    const { home } = this.#relatives;
    return (ofSession ? home.membersOfSession(of) : home.members(of)).flatMap(({ pid }) => {
      const process = this.#table.find(pid);
      return process !== undefined && process.state !== ProcessState.EXITED && isSame(asking, process)
        ? [process]
        : [];
    });
  }

  async #signal(process: Process, asking: Asking, target: bigint, signal: string): Promise<void> {
    const own = this.#relatives.home.find(process.pid);
    const meant = target === 0n ? -(own?.group ?? process.pid) : target;
    if (meant === -1n) throw new WasiError(Errno.perm);
    if (meant > 0n && indexOfPid(meant) === this.#node) return this.signalHere(asking, meant, signal);
    const name = signal === '' ? '' : checkSignal(signal);
    if (meant > 0n) {
      const peer = await this.#peers.byIndex(indexOfPid(meant)).catch(() => {
        throw new WasiError(Errno.srch);
      });
      const request = { asker: this.#asker(asking), target: meant, signal: name };
      await peer.client.signal(request, { deadlineMs: ASK_MS });
      return;
    }
    // Its members may be anywhere.
    const elsewhere = await this.#signalElsewhere(asking, -meant, name);
    const sent = [Promise.resolve().then(() => this.signalHere(asking, meant, signal)), ...elsewhere];
    const failed = (await Promise.allSettled(sent)).filter((result) => result.status === 'rejected');
    if (failed.length === sent.length) throw failed[0]!.reason;
  }

  async #group(
    process: Process,
    asking: Asking,
    { target: asked, group, session }: { target: bigint; group: bigint; session: boolean },
  ): Promise<void> {
    const { home } = this.#relatives;
    const { pid } = process;
    if (session) {
      // As POSIX has it: who leads a group already makes no session.
      if (home.members(pid).some((member) => member.group === pid && member.pid !== pid))
        throw new WasiError(Errno.perm);
      home.setSession(pid);
      this.#relatives.changed([]);
      return;
    }
    const target = asked || pid;
    const into = group || target;
    if (indexOfPid(target) === this.#node) return this.regroup(asking, target, pid, into);
    const peer = await this.#peers.byIndex(indexOfPid(target));
    const request = { asker: this.#asker(asking), target, parent: pid, group: into };
    await peer.client.regroup(request, { deadlineMs: ASK_MS });
    home.childGroup(pid, target, into);
    this.#relatives.changed([]);
  }

  #which(pid: bigint, which: bigint): Which {
    if (which === -1n) return 'any';
    if (which === 0n) return { group: this.#relatives.home.find(pid)?.group ?? pid };
    return which < 0n ? { group: -which } : { pid: which };
  }

  #asker({ user, vkernel }: Asking) {
    return { node: this.#node, user, vkernel };
  }
}

const isSame = ({ user, vkernel }: Asking, process: Process): boolean =>
  process.user === user && nameOfKey(process.vkernel) === vkernel;
