// The methods of odonata.pmap.v1.PmapService.

import { AssertionError } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { FaultsRequest, PmapService, SessionRequest, VkernelHello } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { heapBytes, residentBytes } from '@odonata/rpc/heap.ts';
import { isTheirs, ownerOnly } from '@odonata/rpc/identity/access.ts';
import { shownCaller } from '@odonata/rpc/identity/identity.ts';
import { requesterOf } from '@odonata/rpc/identity/requester.ts';
import { pageOf } from '@odonata/rpc/list-page.ts';
import { invalidField, notFound, tryAgain } from '@odonata/rpc/refusal.ts';
import { failStream, type Handlers, raw } from '@odonata/rpc/server.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { WireGate } from '@odonata/rpc/wire-gate.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import type { DescriptorDoor } from '@odonata/userfault/descriptor-door.ts';
import { DescriptorSender } from '@odonata/userfault/descriptor-line.ts';
import { close } from '@odonata/userfault/libc.ts';
import { Userfault } from '@odonata/userfault/userfault.ts';
import { exhaustion } from './frames/exhausted.ts';
import { limitOf, ofLimit } from './limit-of.ts';
import type { OverdueFault } from './memory/overdue.ts';
import type { Node } from './node.ts';
import { poolStats } from './pageout/pool-stats.ts';
import { Lie } from './sessions/hearsay.ts';
import { Session } from './sessions/session.ts';
import { isProgramName, mayBeNamed } from './sessions/session-name.ts';
import { boundedStream } from './sessions/session-stream.ts';
import type { Vmspace } from './sessions/vmspace.ts';

const waitOf = ({ what, reason, waitedMs }: OverdueFault) => ({
  ...{ what, reason },
  waitedMs: BigInt(Math.round(waitedMs)),
});

const userOf = ({ session }: Vmspace): string => session.requester.user;

/** @throws RpcError UNAUTHENTICATED, INVALID_ARGUMENT */
function userfaultOf(fd: number | undefined): Userfault {
  if (fd === undefined)
    throw new RpcError(Code.Unauthenticated, 'no userfaultfd was handed over under this token');
  try {
    return Userfault.adopt(fd);
  } catch (error) {
    throw new RpcError(Code.InvalidArgument, `what was handed over will not do: ${(error as Error).message}`);
  }
}

/** Sessions of one name (one that came back may be there before the end of the last one is known), and of all. */
const SESSIONS_OF_ONE = 4;
export const SESSIONS_MAX = 256;
/** Of programs outside of virtual kernels: of one person, and of all, so that virtual kernels find room. */
export const PROGRAMS_OF_PERSON = 32;
export const PROGRAMS_MAX = 128;
/** Of any virtual kernel, where there are no identities. */
const NAME_BYTES = 256;
/** Faults of one message: a thread has one. */
const FAULTS_MAX = 4_096;

const PEEK_BYTES_MAX = 1 << 20;

/** What a hello is refused with that no virtual kernel of ours says. */
const HELLO_ATTEMPTS: Partial<Record<Code, string>> = {
  [Code.PermissionDenied]: 'identity',
  [Code.InvalidArgument]: 'userfaultfd',
};

/** What a bug does to one virtual kernel it does to no other one; but what is not as it must be here ends us all. */
function refusalTo(error: unknown, ctx: CallContext): RpcError {
  if (error instanceof AssertionError) throw error;
  const exhausted = exhaustion(error, 'a virtual kernel');
  if (exhausted !== undefined) return exhausted;
  ctx.log.error({ err: error }, 'a bug ends the session of a virtual kernel');
  return new RpcError(Code.Internal, `a bug ends the session: ${String(error)}`, { cause: error });
}

export function pmapHandlers(
  node: Node,
  door: () => DescriptorDoor,
  nodeIndex: number,
  gate: WireGate,
): Handlers<typeof PmapService> {
  function all(): Vmspace[] {
    return [...node.sessions].flatMap((s) => [...s.vmspaces.values()]).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  function find(ctx: CallContext, id: bigint, offset: bigint, length: number): Vmspace {
    const vmspace = all().find((v) => v.id === id);
    if (vmspace === undefined)
      throw notFound({ type: 'vmspace', name: id }, `no vmspace ${id}; ListVmspaces lists them`);
    ownerOnly(ctx, userOf(vmspace), `vmspace ${id} of ${node.name}`);
    if (length > PEEK_BYTES_MAX)
      throw invalidField('length', `length: at most ${PEEK_BYTES_MAX}, not ${length}`);
    if (offset + BigInt(length) > BigInt(vmspace.sizeBytes)) {
      throw new RpcError(
        Code.OutOfRange,
        `vmspace ${id} has ${vmspace.sizeBytes} bytes; ${offset} + ${length} go past its end`,
      );
    }
    return vmspace;
  }

  // Also where it is of no use: a door that nobody empties is full soon, and who comes then waits for ever.
  function discard({ userfaultToken }: VkernelHello): void {
    const fd = door().claimDescriptor(userfaultToken);
    if (fd !== undefined) close(fd);
  }

  // The connection on which a virtual kernel gets memory files; and its userfaultfd.
  function knocked({ userfaultToken, resumeToken }: VkernelHello): {
    descriptors: DescriptorSender;
    fd: number | undefined;
  } {
    const found = door().claim(userfaultToken);
    // It may have knocked at the door of the one whose place this one took, a moment before.
    if (found === undefined && resumeToken.length > 0)
      throw tryAgain(
        Code.Unavailable,
        `nobody knocked at this door of ${node.name} with that token: knock again`,
      );
    if (found === undefined)
      throw new RpcError(Code.Unauthenticated, 'nobody knocked at the door for descriptors with this token');
    return { descriptors: new DescriptorSender(found.socket), fd: found.fd };
  }

  function expectProgramRoom(user: string): void {
    const programs = [...node.sessions].filter((each) => isProgramName(each.name));
    const theirs = programs.filter(({ requester }) => requester.user === user).length;
    if (theirs >= PROGRAMS_OF_PERSON || programs.length >= PROGRAMS_MAX)
      throw ofLimit(
        'programs',
        tryAgain(
          Code.ResourceExhausted,
          `${user} has ${theirs} programs on ${node.name} that map dataspaces outside of virtual kernels, of ${PROGRAMS_OF_PERSON}, ` +
            `and all people have ${programs.length}, of ${PROGRAMS_MAX}; end some, or run them on another node`,
        ),
      );
  }

  // A session that was handed over to this pmap manager, and whose virtual kernel comes now.
  function waiting(hello: VkernelHello, ctx: CallContext): Session {
    const { resumeToken } = hello;
    const session = [...node.sessions].find((s) => !s.isAttached && s.token.equals(resumeToken));
    if (session === undefined)
      throw new RpcError(Code.Unauthenticated, 'no session waits to be resumed under this token');
    const { user } = session.requester;
    if (user !== requesterOf(ctx).user) {
      const who = shownCaller(ctx.caller);
      throw new RpcError(
        Code.PermissionDenied,
        `the session is of a virtual kernel of ${user}, not of ${who}`,
      );
    }
    return session;
  }

  return {
    session: raw((call, ctx) => {
      let session: Session | undefined;
      const begin = (request: SessionRequest) => {
        const hello = request.events[0]?.event;
        if (hello?.case !== 'hello')
          throw new RpcError(Code.FailedPrecondition, 'the first event must be hello');
        try {
          gate.agree(`vkernel ${hello.value.name}`, hello.value.wire);
        } catch (error) {
          discard(hello.value);
          throw error;
        }
        if (node.isStopping) {
          discard(hello.value);
          throw tryAgain(Code.Unavailable, `the pmap manager of ${node.name} stops`);
        }
        const { resumeToken } = hello.value;
        const { descriptors, fd } = knocked(hello.value);
        try {
          session = resumeToken.length > 0 ? waiting(hello.value, ctx) : create(hello.value, fd);
        } catch (error) {
          descriptors.close();
          throw error;
        } finally {
          // Of one that resumes it came with the session already.
          if (fd !== undefined && session?.userfault.fd !== fd) close(fd);
        }
        const begun = session;
        const onFlood = () => begun.broken('it does not read what it is told');
        session.attach(boundedStream(call, onFlood), descriptors);
        request.events.shift();
      };
      const suspect = (error: unknown) => {
        const limit = limitOf(error);
        if (limit !== undefined)
          node.limits.count(limit, `user:${requesterOf(ctx).user}`, (error as RpcError).details);
        if (session !== undefined || !(error instanceof RpcError)) return;
        const attempt = HELLO_ATTEMPTS[error.code];
        const who = shownCaller(ctx.caller);
        if (attempt !== undefined)
          node.security.refused(
            attempt,
            who,
            `${who} is no virtual kernel of ${node.name}: ${error.details}`,
          );
      };
      const create = (hello: VkernelHello, fd: number | undefined) => {
        const { name, frameLimit } = hello;
        const ofName = [...node.sessions].filter((each) => each.name === name).length;
        if (ofName >= SESSIONS_OF_ONE || node.sessions.size >= SESSIONS_MAX)
          throw ofLimit(
            'sessions',
            tryAgain(
              Code.ResourceExhausted,
              `virtual kernel ${name} has ${ofName} sessions, of ${SESSIONS_OF_ONE}, and ${node.name} ${node.sessions.size}, of ${SESSIONS_MAX}; ` +
                'halt some virtual kernels (vkctl vkernel halt), or use another node',
            ),
          );
        if (Buffer.byteLength(name) > NAME_BYTES)
          throw new RpcError(
            Code.InvalidArgument,
            `the name of a virtual kernel has ${NAME_BYTES} bytes at most`,
          );
        if (!mayBeNamed(name, node.name, ctx.caller)) {
          throw new RpcError(
            Code.PermissionDenied,
            `${shownCaller(ctx.caller)} is not virtual kernel ${name}`,
          );
        }
        if (isProgramName(name)) expectProgramRoom(requesterOf(ctx).user);
        const about = { name, frameLimit, token: randomBytes(16), userfault: userfaultOf(fd) };
        const created = new Session(node, { ...about, requester: requesterOf(ctx) });
        node.sessions.add(created);
        return created;
      };
      const end = () => {
        if (session?.isAttached !== true || !node.sessions.delete(session)) return;
        session.close();
      };
      call.on('data', (request: SessionRequest) => {
        try {
          if (session === undefined) begin(request);
          if (session === undefined || !node.sessions.has(session)) return;
          for (const event of request.events) session.receive(event);
        } catch (error) {
          suspect(error);
          const refusal = refusalTo(error, ctx);
          if (session === undefined) failStream(call, refusal);
          else node.sessions.endSession(session, refusal.details);
        }
      });
      call.on('end', () => {
        // The virtual kernel goes on at the next pmap manager of the node.
        if (node.isHandingOver) session?.detach();
        else end();
        call.end();
      });
      call.on('cancelled', end);
      call.on('error', end);
    }),

    faults: raw((call, ctx) => {
      let session: Session | undefined;
      call.on('data', ({ faultToken, faults }: FaultsRequest) => {
        session ??= [...node.sessions].find(({ token }) => token.equals(faultToken));
        if (session === undefined) {
          failStream(call, new RpcError(Code.Unauthenticated, 'no session has this fault_token'));
          return;
        }
        if (!node.sessions.has(session)) return;
        try {
          if (faults.length > FAULTS_MAX) throw new Lie(`${faults.length} faults in one message`);
          for (const fault of faults) session.fault(fault);
        } catch (error) {
          if (error instanceof Lie) node.sessions.refused('message', session, error.details);
          const refusal = refusalTo(error, ctx);
          node.sessions.endSession(session, refusal.details);
          failStream(call, refusal);
        }
      });
      call.on('end', () => call.end());
      call.on('error', () => {});
    }),

    listVmspaces({ pageSize, pageToken }, ctx) {
      const theirs = all().filter((vmspace) => isTheirs(ctx, userOf(vmspace)));
      const { items, nextPageToken } = pageOf(theirs, (v) => v.id.toString(), pageSize, pageToken);
      const overdue = node.overdue.all();
      const vmspaces = items.map((v) => ({
        vmspace: v.id,
        pid: v.pid,
        vkernel: v.session.name,
        waits: overdue.filter(({ pid }) => pid === v.pid).map(waitOf),
        privatePages: BigInt(v.privateFrames()),
        sharedPages: BigInt(v.charge.sharedFrames),
        entries: [...v.entries].map((e) => ({
          vmspace: v.id,
          address: e.address,
          lengthBytes: BigInt(e.pageCount) * BigInt(PAGE_BYTES),
          dataspace: e.dataspace.id,
          offsetBytes: BigInt(e.firstPage) * BigInt(PAGE_BYTES),
          writable: e.writable,
        })),
      }));
      return { vmspaces, nextPageToken };
    },

    vmspacePread({ vmspace, offset, length }, ctx) {
      const space = find(ctx, vmspace, offset, length);
      // Some of it may be at another node.
      if (space.paged !== undefined) return space.preadAll(Number(offset), length).then((data) => ({ data }));
      return { data: space.pread(Number(offset), length) };
    },

    vmspacePwrite({ vmspace, offset, data }, ctx) {
      find(ctx, vmspace, offset, data.length).pwrite(Number(offset), data);
      return {};
    },

    boundVkernels({ bounds }) {
      node.bounds.set(bounds);
      const named = new Set(bounds.map(({ name }) => name));
      const uses = [...node.sessions].filter(({ name }) => named.has(name));
      return {
        uses: uses.map(({ name, usedFrames, open }) => ({
          ...{ name, frames: BigInt(usedFrames), dataspaces: open.count },
        })),
      };
    },

    getNodeStats({ process }) {
      const { pagesIn, pagesOut, invalidations } = node.statistics;
      const pool = poolStats(node);
      const { waitingBytes, inFlightBytes } = node.transfers.tally;
      return {
        node: node.name,
        nodeIndex,
        framesTotal: BigInt(node.frames.total),
        framesPrivate: BigInt(node.frames.privateFrames),
        pagesShared: BigInt(node.memory.residentPages() + node.images.frames),
        faults: node.statistics.summary(),
        pagesIn: BigInt(pagesIn),
        pagesOut: BigInt(pagesOut),
        invalidations: BigInt(invalidations),
        vmspaces: BigInt([...node.sessions].reduce((sum, s) => sum + s.vmspaces.size, 0)),
        vkernels: [...node.sessions].map((s) => s.name).sort(),
        directoryConnected: node.line.connected,
        takeOverMs: node.takeOverMs,
        pmapFlushes: BigInt(node.statistics.pmapFlushes),
        faultsWaiting: BigInt(node.memory.faultsWaiting()),
        transferWaitingBytes: BigInt(waitingBytes),
        transferInFlightBytes: BigInt(inFlightBytes),
        wire: wireSpoken(),
        cores: availableParallelism(),
        handmadeVmspaces: BigInt(node.handmade.count),
        ...(process && {
          loopDelayMs: node.loopDelay.longestMs(),
          heapBytes: BigInt(heapBytes()),
          residentBytes: BigInt(residentBytes() ?? 0),
        }),
        ...(node.pageout.hasSwap && { pageout: node.pageout.stats }),
        ...(pool && { pool }),
      };
    },
  };
}
