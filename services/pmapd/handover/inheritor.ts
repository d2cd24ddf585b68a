// Makes a new node what another one was: from what was copied ahead, and from what is new when that one is frozen.
import type { HolderSnapshot } from '@odonata/coherency/holder/holder-snapshot.ts';
import { holderSnapshot, ledShard } from '@odonata/coherency/node/lines/shard-snapshot.ts';
import type { PageSpan } from '@odonata/coherency/page.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { PageBuffer } from '@odonata/pmap/wire/page-buffer.ts';
import type { DataspaceSnapshot, NodeSnapshot, SessionSnapshot } from '@odonata/proto/pmap/v1/handover';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { Userfault } from '@odonata/userfault/userfault.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import type { Node } from '../node.ts';
import { Session } from '../sessions/session.ts';
import { linearOffsetOf } from '../sessions/session-vmspaces.ts';
import { adoptAll, adoptChunks } from '../vmspaces/handmade/carry.ts';

export class Inheritor {
  readonly node: Node;
  private readonly claim: (token: Uint8Array) => number;
  private readonly sessions = new Map<string, Session>();
  /** Sessions that map a dataspace, or did: what it has may be mapped there. */
  private readonly mapping = new Map<bigint, Set<Session>>();

  /** @param claim the userfaultfd that was handed over under a token */
  constructor(node: Node, claim: (token: Uint8Array) => number) {
    this.node = node;
    this.claim = claim;
  }

  /** What is known before the other one is frozen: a part. */
  copyAhead(part: NodeSnapshot): void {
    for (const about of part.dataspaces) this.dataspace(about);
    for (const shard of part.shards) this.node.memory.resumeHolder(shard.shard, holderSnapshot(shard));
    for (const about of part.sessions) this.session(about, { frozen: false });
    if (part.handmade !== undefined) adoptChunks(this.node.handmade, part.handmade);
  }

  /** All the rest. */
  finish(snapshot: NodeSnapshot): void {
    const { node } = this;
    const { memory, sync, farDesks } = node;
    const known = new Set(snapshot.dataspaces.map(({ dataspace }) => dataspace));
    for (const dataspace of [...memory.all()]) if (!known.has(dataspace.id)) memory.disown(dataspace);
    const gone = new Set<bigint>();
    for (const about of snapshot.dataspaces) {
      const dataspace = this.dataspace(about);
      if (dataspace === undefined) {
        gone.add(about.dataspace);
        continue;
      }
      for (const { page, version, data } of about.retained)
        dataspace.retained.set(page, { version: Number(version), bytes: buffered(data) });
      for (const { page, data } of about.stored) dataspace.stored.set(page, buffered(data));
    }
    snapshot.shards.forEach((shard, number) => {
      memory.resumeHolder(number, without(holderSnapshot(shard), gone));
    });
    node.inherit(snapshot.lastVmspace, snapshot.shards.map(ledShard));
    const sessions = snapshot.sessions.map((about) => {
      const session = this.session(about, { frozen: true });
      session.resumeFrames(Number(about.frames));
      for (const event of about.unsent) session.send(event);
      node.sessions.add(session);
      return session;
    });
    const stay = new Set(sessions);
    for (const session of this.sessions.values()) if (!stay.has(session)) session.close();
    farDesks.resume(snapshot.sync!.farDesks);
    sync.resume(snapshot.sync!, sessions);
    if (snapshot.handmade === undefined) return;
    const dataspace = (id: bigint) => memory.get(id);
    adoptAll(node.handmade, snapshot.handmade, { dataspace, claim: this.claim, nowMs: monotonicMs() });
  }

  /** Undefined: the cluster removed it, and the other one its file, since this was written down. */
  private dataspace(about: DataspaceSnapshot): SharedDataspace | undefined {
    const { dataspace: id, resident, absent } = about;
    const dataspace = this.node.memory.get(id) ?? this.adopted(about);
    if (dataspace === undefined) return undefined;
    dataspace.file.take(absent, false);
    dataspace.file.take(resident, true);
    for (const session of this.mapping.get(id) ?? []) this.claims(session, dataspace, resident);
    return dataspace;
  }

  private adopted({ dataspace: id, name, sizeBytes, durable }: DataspaceSnapshot) {
    try {
      return this.node.openings.adopt({ id, name, sizeBytes, durable });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  private session(about: SessionSnapshot, { frozen }: { frozen: boolean }): Session {
    const { name, frameLimit, token, userfaultToken, vmspaces, gone } = about;
    const key = Buffer.from(token).toString('hex');
    let session = this.sessions.get(key);
    if (session === undefined) {
      const userfault = new Userfault(this.claim(userfaultToken));
      const { user = '', groups = [], all = false } = about.requester ?? {};
      const requester = { user, groups, all };
      session = new Session(this.node, { name, frameLimit, token, userfault, requester });
      this.sessions.set(key, session);
    }
    for (const id of gone) this.forget(session, id);
    for (const vmspace of vmspaces) {
      this.forget(session, vmspace.vmspace);
      this.vmspace(session, vmspace, frozen);
    }
    return session;
  }

  private forget(session: Session, id: bigint): void {
    const vmspace = session.vmspaces.get(id);
    if (vmspace === undefined) return;
    session.spaces.forget(vmspace);
    vmspace.disown();
  }

  private vmspace(session: Session, about: SessionSnapshot['vmspaces'][number], frozen: boolean): void {
    const { vmspace: id, pid, file, entries } = about;
    const [sizeBytes, quotaFrames] = [Number(about.sizeBytes), Number(about.quotaFrames)];
    const vmspace = session.spaces.add({ id, pid, file, sizeBytes, quotaFrames, exists: true });
    if (about.image !== undefined) this.node.images.adopt(vmspace, about.image);
    for (const { dataspace, readOnly } of about.opened) session.open.add(vmspace, dataspace, readOnly);
    for (const entry of entries) {
      const { address, lengthBytes, dataspace: of, offsetBytes, writable } = entry;
      const dataspace = this.node.memory.get(of);
      if (dataspace === undefined) {
        // One that was opened while this was copied comes with the rest.
        if (frozen) session.endProcess(id, 'SIGBUS', `dataspace ${of} was removed`);
        continue;
      }
      const [firstPage, pageCount] = [pagesIn(offsetBytes), pagesIn(lengthBytes)];
      const linearOffset = linearOffsetOf(entry);
      session.spaces.addEntry({ vmspace, address, firstPage, pageCount, dataspace, writable, linearOffset });
      // Who brought a page is not handed over: the first one that maps it pays for it from now on.
      dataspace.file.charge(firstPage, pageCount, vmspace.charge.number);
      const mapping = this.mapping.get(of) ?? new Set();
      this.mapping.set(of, mapping);
      if (mapping.has(session)) continue;
      mapping.add(session);
      this.claims(session, dataspace, dataspace.file.residentSpans());
    }
  }

  private claims(session: Session, { id }: SharedDataspace, spans: readonly PageSpan[]): void {
    this.node.memory.home.claim(session.holder, id, spans);
  }
}

const without = (snapshot: HolderSnapshot, gone: ReadonlySet<bigint>): HolderSnapshot =>
  gone.size === 0
    ? snapshot
    : {
        ...snapshot,
        dataspaces: snapshot.dataspaces.filter(({ dataspace }) => !gone.has(dataspace)),
        removed: [...(snapshot.removed ?? []), ...gone],
      };

/** Undefined: zeros. */
const buffered = (data: Uint8Array | undefined): PageBuffer | undefined =>
  data === undefined ? undefined : new PageBuffer(data);

const pagesIn = (bytes: bigint): number => Number(bytes / BigInt(PAGE_BYTES));
