// What a virtual kernel asks on its stream: each is checked, done, and answered; what takes longer is bounded.

import { isBorrowed } from '@odonata/coherency/gateway.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import type { DataspaceOpen, Fault, RangeName, VkernelEvent } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { asOfNow } from '@odonata/rpc/identity/requester.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import { RANGE_NAME_BYTES, RANGES_MAX } from '../contention/range-names.ts';
import { errnoFor } from '../frames/exhausted.ts';
import type { PrivateFrames } from '../frames/private-frames.ts';
import { limitOf, ofLimit } from '../limit-of.ts';
import { emptyRuns } from '../vmspaces/flush.ts';
import { tellTransfers } from '../vmspaces/process-events.ts';
import { countsOf, expectName, Foreign, Lie, shortReason } from './hearsay.ts';
import type { VkernelSession } from './map-entry.ts';
import type { OpenDataspaces } from './open-dataspaces.ts';
import type { SessionNode } from './session-node.ts';
import type { SessionVmspaces } from './session-vmspaces.ts';
import { expectTheirs } from './sync-rights.ts';
import type { Vmspace } from './vmspace.ts';

/** Opens, removals and syncs of one vkernel that are under way. */
export const WORK_MAX = 1_024;

/** Codes of what a virtual kernel that is what it should be is never refused with. */
const SUSPICIOUS: ReadonlySet<number> = new Set([
  Code.PermissionDenied,
  Code.InvalidArgument,
  Code.OutOfRange,
  Code.AlreadyExists,
]);

/** The session that asks. */
export interface AskingSession extends VkernelSession {
  readonly spaces: SessionVmspaces;
  readonly open: OpenDataspaces;
  readonly privateFrames: PrivateFrames;
  fault(fault: Fault): void;
  limited(limit: string, reason: string): void;
  paged(vmspace: Vmspace, address: bigint): void;
  destroyVmspace(vmspace: Vmspace): void;
}

export class SessionRequests {
  private readonly node: SessionNode;
  private readonly session: AskingSession;
  /** Opens, removals and syncs under way. */
  private working = 0;
  /** Those that empty mappings: one after the other, so that all of one virtual kernel take no more of a turn than one. */
  private emptying: Promise<unknown> = Promise.resolve();
  private readonly closed = new AbortController();

  constructor(node: SessionNode, session: AskingSession) {
    this.node = node;
    this.session = session;
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
    if (error instanceof Foreign) this.node.sessions.refused('not-theirs', this.session, error.details);
    else if (error instanceof Lie) this.node.sessions.refused('message', this.session, error.details);
    else if (what?.startsWith('vmspace') && SUSPICIOUS.has(error.code))
      this.node.sessions.refused('vmspace', this.session, `${what}: ${error.details}`);
  }

  private fail(request: bigint, error: RpcError): void {
    if (error.code === Code.ResourceExhausted)
      this.node.sessions.limited(limitOf(error) ?? 'vkernel', this.session, error.details);
    const value = { code: error.code, reason: error.details, errno: errnoFor(error) };
    this.session.send({ request, event: { case: 'failed', value } });
  }

  private expectWorkRoom(): void {
    if (this.working < WORK_MAX) return;
    const reason = `${WORK_MAX} opens and syncs of a virtual kernel are under way; let fewer processes ask at one time`;
    throw ofLimit('work', tryAgain(Code.ResourceExhausted, reason));
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

  private empty(request: bigint, runs: PageRun[]): void {
    this.expectWorkRoom();
    const { signal } = this.closed;
    const emptied = this.emptying.then(() => (signal.aborted ? 0 : emptyRuns(this.node, runs, signal)));
    this.emptying = emptied.catch(() => {});
    this.settle(request, emptied, () => this.done(request));
  }

  /** Nobody waits for what is under way. */
  close(): void {
    this.closed.abort();
  }

  private done(request: bigint): void {
    if (request !== 0n) this.session.send({ request, event: { case: 'done', value: {} } });
  }

  private handle(request: bigint, event: VkernelEvent['event']): void {
    switch (event.case) {
      case 'fault':
        this.session.fault(event.value);
        return;
      case 'frames': {
        this.session.privateFrames.account(request, event.value);
        return;
      }
      case 'localFaults': {
        const { count, sampleNs } = countsOf(event.value);
        this.node.statistics.faults('vkernel', count, sampleNs);
        return;
      }
      case 'vmspaceCreate': {
        const vmspace = this.session.spaces.create(event.value);
        this.session.send({
          request,
          event: { case: 'vmspaceCreated', value: { vmspace: vmspace.id, pid: vmspace.pid } },
        });
        return;
      }
      case 'vmspaceDestroy':
        this.session.destroyVmspace(this.session.spaces.expect(event.value.vmspace));
        this.done(request);
        return;
      case 'vmspaceMmap':
        this.session.spaces.mmap(event.value);
        this.done(request);
        return;
      case 'vmspaceMunmap':
        this.session.spaces.munmap(event.value);
        this.done(request);
        return;
      case 'imageLay': {
        const { id = 0n } = this.session.spaces.layImage(event.value) ?? {};
        // Nobody waits for the descriptor where less of it is told.
        if (request !== 0n)
          this.session.send({ request, event: { case: 'imageLaid', value: { image: id } } });
        return;
      }
      case 'imageData':
        this.node.images.bring(this.session, event.value, monotonicMs());
        this.done(request);
        return;
      case 'vmspaceMcontrol': {
        const runs = this.session.spaces.mcontrol(event.value);
        if (runs.length === 0) this.done(request);
        else this.empty(request, runs);
        return;
      }
      case 'open':
        this.openDataspace(request, event.value);
        return;
      case 'remove': {
        const { name, vmspace } = event.value;
        this.session.spaces.expect(vmspace);
        expectName(name);
        this.expectWorkRoom();
        const requester = asOfNow(this.session.requester);
        this.settle(request, this.node.removeDataspace(name, { requester }), () => this.done(request));
        return;
      }
      case 'rangeName':
        this.nameRange(event.value);
        this.done(request);
        return;
      case 'memoryEnd': {
        const vmspace = this.session.spaces.expect(event.value.vmspace);
        // Once of each.
        if (!vmspace.endsForMemory) this.node.endedForMemory(vmspace, shortReason(event.value.reason));
        vmspace.endsForMemory = true;
        return;
      }
      case 'transfers':
        this.session.spaces.expect(event.value.vmspace);
        tellTransfers(this.node.watches, event.value);
        return;
      case 'paged':
        this.session.paged(this.session.spaces.expect(event.value.vmspace), event.value.address);
        return;
      case 'sync': {
        const { dataspace: id, offset, length } = event.value;
        const { memory, backing } = this.node;
        const dataspace = memory.get(id);
        if (dataspace === undefined)
          throw new RpcError(Code.NotFound, `dataspace ${id} is not open on this node`);
        this.expectOwn(id);
        this.session.open.expectWriter(id);
        this.expectWorkRoom();
        this.settle(request, backing.sync(dataspace, offset, length), () => this.done(request));
        return;
      }
      case 'lock':
      case 'unlock':
      case 'wait':
      case 'cancelWait':
      case 'wake':
      case 'barrier':
        expectTheirs(event, this.session.spaces.byPid, this.session.open, (id) =>
          isBorrowed(this.node.memory.get(id)?.name ?? ''),
        );
        this.node.sync.relay(this.session, request, event);
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

  /** @throws RpcError UNIMPLEMENTED of a dataspace of another cluster */
  private expectOwn(dataspace: bigint): void {
    const { name = '' } = this.node.memory.get(dataspace) ?? {};
    if (!isBorrowed(name)) return;
    const reason = `dataspace ${name} is of another cluster, and is stored there, if at all: a sync of a program there stores what was written here, too`;
    throw new RpcError(Code.Unimplemented, reason);
  }

  private openDataspace(request: bigint, value: DataspaceOpen): void {
    const { name, sizeBytes, exclusive, durable } = value;
    const { open } = this.session;
    const requester = asOfNow(this.session.requester);
    const vmspace = this.session.spaces.expect(value.vmspace);
    expectName(name);
    open.expectRoom(vmspace, this.session.name, this.node.bounds.of(this.session.name).dataspaces);
    this.expectWorkRoom();
    const over = open.begin(vmspace);
    const opened = this.node.openings.open(name, sizeBytes, { requester, exclusive, durable }).finally(over);
    this.settle(request, opened, ({ dataspace: { id, sizeBytes }, created, ...may }) => {
      let { readOnly } = may;
      if (this.session.spaces.byId.get(vmspace.id) === vmspace) {
        readOnly = open.add(vmspace, id, readOnly);
        this.session.spaces.touch(vmspace);
      }
      const about = { dataspace: id, sizeBytes, created, readOnly };
      this.session.send({ request, event: { case: 'opened', value: about } });
    });
  }

  private nameRange({ vmspace, dataspace, begin, end, name }: RangeName): void {
    this.session.open.expect(this.session.spaces.expect(vmspace), dataspace, 'write');
    if (begin >= end) throw new RpcError(Code.InvalidArgument, `range ${begin} to ${end} is empty`);
    if (Buffer.byteLength(name) > RANGE_NAME_BYTES)
      throw new RpcError(Code.InvalidArgument, `the name of a range has at most ${RANGE_NAME_BYTES} bytes`);
    if (this.node.rangeNames.set(this.session.requester.user, dataspace, begin, end, name)) return;
    throw ofLimit(
      'range-names',
      new RpcError(
        Code.ResourceExhausted,
        `${this.session.requester.user} has named ${RANGES_MAX} ranges of dataspace ${dataspace}, or too many people have named some; ` +
          'name longer ranges',
      ),
    );
  }
}
