// The virtual kernels of the node: what none of them may have twice, what is done to all, and what is told of one.

import { randomInt } from 'node:crypto';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Limits } from '@odonata/rpc/limits.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { PIDS_PER_NODE, PROGRAM_PIDS } from '@odonata/rpc/pid.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { NoDescriptors } from '../frames/exhausted.ts';
import { ofLimit } from '../limit-of.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import type { Descriptors } from './descriptors.ts';
import type { Session } from './session.ts';

export interface SessionTableOptions {
  node: string;
  /** The first pid of this node's processes. */
  firstPid: bigint;
  descriptors: Descriptors;
  /** How many dataspaces are known here: each has a descriptor. */
  dataspaces(): number;
  limits: Limits;
  security: SecurityEvents;
  log: Logger;
}

export class SessionTable extends Set<Session> {
  private readonly o: SessionTableOptions;
  /** The pid that was given last, among those of programs: not the same one twice soon, also not after a new start. */
  private lastProgram = randomInt(PROGRAM_PIDS);

  constructor(options: SessionTableOptions) {
    super();
    this.o = options;
  }

  /** Looks at each now and then. */
  inspect(): void {
    for (const session of [...this])
      ownTurn(
        { timer: 'inspect', vkernel: session.name },
        () => session.inspect(),
        ({ details, code }) => this.endSession(session, details, code),
      )();
  }

  /**
   * A virtual kernel makes a vmspace for a process: one of this node that no other vmspace is for. What a process holds is
   * held by its pid.
   * @throws RpcError
   */
  expectFree(pid: bigint): void {
    if (pid <= this.o.firstPid || pid >= this.o.firstPid + BigInt(PIDS_PER_NODE))
      throw invalidField('pid', `pid ${pid}: no process of ${this.o.node} has it`);
    for (const { byPid } of this)
      if (byPid.has(pid)) throw new RpcError(Code.AlreadyExists, `process ${pid} has a vmspace already`);
  }

  /** For a program outside of virtual kernels: nobody else gives it one. @throws RpcError RESOURCE_EXHAUSTED */
  freeProgramPid(): bigint {
    const first = this.o.firstPid + BigInt(PIDS_PER_NODE - PROGRAM_PIDS);
    for (let tries = 0; tries < PROGRAM_PIDS; tries++) {
      this.lastProgram = (this.lastProgram + 1) % PROGRAM_PIDS;
      const pid = first + BigInt(this.lastProgram);
      if (![...this].some(({ byPid }) => byPid.has(pid))) return pid;
    }
    throw ofLimit(
      'program-pids',
      new RpcError(
        Code.ResourceExhausted,
        `no pid is free on ${this.o.node} for a program outside of virtual kernels; end some of them`,
      ),
    );
  }

  /** @throws RpcError RESOURCE_EXHAUSTED where there are too few descriptors for one more file */
  expectDescriptor(what: string, { vmspaces: ofOne }: Pick<Session, 'vmspaces'>): void {
    if (ofOne.size >= this.o.descriptors.ofOneMax) throw new NoDescriptors(what);
    const vmspaces = [...this].reduce((sum, session) => sum + session.vmspaces.size, 0);
    if (this.o.dataspaces() + vmspaces >= this.o.descriptors.filesMax) throw new NoDescriptors(what);
  }

  // Its virtual kernel tells what the program in it does, while somebody watches.
  trace(id: bigint, on: boolean): void {
    for (const session of this) if (session.vmspaces.has(id)) session.trace(id, on);
  }

  /** A request of a virtual kernel was refused for a limit. */
  limited(limit: string, { name: vkernel }: Pick<Session, 'name'>, reason: string): void {
    this.o.limits.count(limit, `vkernel:${vkernel}`, reason, { vkernel });
  }

  refused(attempt: string, { name: vkernel }: Pick<Session, 'name'>, reason: string): void {
    this.o.security.refused(attempt, vkernel, `virtual kernel ${vkernel}: ${reason}`, { vkernel });
  }

  endSession(session: Session, reason: string, code: Code = Code.Aborted): void {
    if (!this.delete(session)) return;
    this.o.log.warn({ vkernel: session.name, reason }, 'ends the session of a virtual kernel');
    session.endStream(new RpcError(code, `the pmap manager ended the session: ${reason}`));
    session.close();
  }

  // This machine, or this process, did not run when the lease ended, and they may have: on pages of others.
  endSharers(): void {
    const reason =
      'its node did not run for a while, and took its shared memory away later than its lease ended';
    for (const session of this)
      for (const vmspace of session.vmspaces.values())
        if (vmspace.sharesMemory) session.endProcess(vmspace.id, 'SIGKILL', reason);
  }

  // A process that goes on as if it had its locks would write beside whoever has them now.
  endOwners(owners: ReadonlySet<bigint>, why = 'the lease of its node ended'): void {
    const reason = `${why} while it held range locks, which may be others' by now`;
    for (const session of this)
      for (const vmspace of session.vmspaces.values())
        if (owners.has(vmspace.pid)) session.endProcess(vmspace.id, 'SIGKILL', reason);
  }

  /** Whoever has a memory file for writing may punch holes into it, and write beyond its end. */
  mended(dataspace: SharedDataspace, page: number): void {
    const { name } = dataspace;
    this.meddled(
      'memory-file',
      dataspace,
      `page ${page} of dataspace ${name} was taken out of its memory file, and is zeros now`,
      page,
    );
  }

  grown(dataspace: SharedDataspace): void {
    const what = 'was made longer than the dataspace, and what was beyond it is taken back';
    this.meddled('memory-file-growth', dataspace, `the memory file of dataspace ${dataspace.name} ${what}`);
  }

  private meddled(attempt: string, { id, name }: SharedDataspace, what: string, page?: number): void {
    const writers = [...this].filter(({ open }) => open.mayWrite(id)).map((each) => each.name);
    const text = `${what}; those that may write there: ${writers.join(', ')}`;
    this.o.security.refused(attempt, writers.join(' '), text, { dataspace: name, page });
  }

  /** Ends sessions that nobody resumed. */
  endUnresumed(): void {
    this.giveUp(({ isAttached }) => !isAttached, 'a virtual kernel did not come back, and is taken for dead');
  }

  giveUp(which: (session: Session) => boolean, why: string): void {
    for (const session of [...this].filter(which)) {
      this.o.log.warn({ vkernel: session.name }, why);
      this.delete(session);
      ownTurn({ vkernel: session.name }, () => session.close())();
    }
  }
}
