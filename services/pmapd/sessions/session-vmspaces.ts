// The vmspaces of a virtual kernel: they are made and end, pages of dataspaces are mapped into them, and whoever follows hears
// which of them changed.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { PAGE_BYTES, type PageRun } from '@odonata/coherency/page.ts';
import {
  type ImageLay,
  McontrolAdvice,
  type VmspaceCreate,
  type VmspaceMcontrol,
  type VmspaceMmap,
  type VmspaceMunmap,
} from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { isProgramPid } from '@odonata/rpc/pid.ts';
import { invalidField, tryAgain } from '@odonata/rpc/refusal.ts';
import { exhaustedOr } from '../frames/exhausted.ts';
import type { Image } from '../frames/images.ts';
import { ofLimit } from '../limit-of.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import { ADVISED_PAGES_MAX, expectMapping, expectRange } from './hearsay.ts';
import { MapEntry, type VkernelSession } from './map-entry.ts';
import type { OpenDataspaces } from './open-dataspaces.ts';
import { isProgramName } from './session-name.ts';
import type { SessionNode } from './session-node.ts';
import { ENTRIES_MAX, Vmspace } from './vmspace.ts';

/** vmspaces of one vkernel. */
export const VMSPACES_MAX = 1_000_000;
/** Files of a virtual kernel's own, which no process maps. */
export const FILES_MAX = 4;
/** Of the frames of its node, what files of a virtual kernel may have: programs that want to begin find some, and nobody ends for files. */
export const FILES_PART = 3 / 4;

/** Where a mapping is in the linear memory of its process: what cannot be is as if it had not been told. */
export function linearOffsetOf(
  { linearOffset, lengthBytes }: Pick<VmspaceMmap, 'linearOffset' | 'lengthBytes'>,
  sizeBytes = Number.POSITIVE_INFINITY,
): number | undefined {
  if (linearOffset === undefined || linearOffset % BigInt(PAGE_BYTES) !== 0n) return undefined;
  return Number(linearOffset + lengthBytes) <= sizeBytes ? Number(linearOffset) : undefined;
}

export class SessionVmspaces {
  readonly byId = new Map<bigint, Vmspace>();
  /** The same, by their processes. */
  readonly byPid = new Map<bigint, Vmspace>();
  private readonly node: SessionNode;
  private readonly session: VkernelSession;
  private readonly open: OpenDataspaces;
  /** Vmspaces that changed, came or went since somebody follows. */
  private changes: Set<bigint> | undefined;

  /** @param open what they have open */
  constructor(node: SessionNode, session: VkernelSession, open: OpenDataspaces) {
    this.node = node;
    this.session = session;
    this.open = open;
  }

  /** `changed` tells from now on which vmspaces are new, or not what they were. */
  follow(): void {
    this.changes ??= new Set();
  }

  /** What changed since `follow`; all, where nobody follows. */
  changed(): { vmspaces: Vmspace[]; gone: bigint[] } {
    if (this.changes === undefined) return { vmspaces: [...this.byId.values()], gone: [] };
    const ids = [...this.changes];
    const vmspaces = ids.map((id) => this.byId.get(id)).filter((vmspace) => vmspace !== undefined);
    return { vmspaces, gone: ids.filter((id) => !this.byId.has(id)) };
  }

  unfollow(): void {
    this.changes = undefined;
  }

  touch({ id }: Vmspace): void {
    this.changes?.add(id);
  }

  /** @throws RpcError NOT_FOUND */
  expect(id: bigint): Vmspace {
    const vmspace = this.byId.get(id);
    if (vmspace === undefined) throw new RpcError(Code.NotFound, `no vmspace ${id}`);
    return vmspace;
  }

  create({ pid: asked, sizeBytes, quotaFrames }: VmspaceCreate): Vmspace {
    if (isProgramName(this.session.name) && asked !== 0n)
      throw invalidField('pid', `pid ${asked}: a program outside of virtual kernels gets one`);
    if (sizeBytes % BigInt(PAGE_BYTES) !== 0n || sizeBytes > 1n << 33n) {
      throw new RpcError(
        Code.InvalidArgument,
        `size_bytes of a vmspace: a multiple of ${PAGE_BYTES} up to 8 GiB, not ${sizeBytes}`,
      );
    }
    // While another pmap manager is about to go on, what was asked before the last word is done still.
    if (this.node.isLeaving) throw tryAgain(Code.Unavailable, `the pmap manager of ${this.node.name} stops`);
    if (this.byId.size >= VMSPACES_MAX)
      throw ofLimit(
        'vmspaces',
        new RpcError(
          Code.ResourceExhausted,
          `${VMSPACES_MAX} vmspaces are the most of one vkernel; end some processes, or run them in another one`,
        ),
      );
    const keepsFiles = asked === 0n && !isProgramName(this.session.name);
    if (keepsFiles) this.expectFewFiles();
    const pid = asked === 0n ? this.node.sessions.freeProgramPid() : asked;
    this.node.sessions.expectFree(pid);
    this.node.sessions.expectDescriptor(`the memory of process ${pid}`, { vmspaces: this.byId });
    const id = this.node.nextVmspace();
    const file = join(this.node.memoryDir, `anonymous-${id}-${randomUUID().slice(0, 8)}`);
    const filesMost = Math.floor(this.node.frames.total * FILES_PART);
    const most = keepsFiles ? Math.min(Number(quotaFrames) || filesMost, filesMost) : Number(quotaFrames);
    const about = { id, pid, file, sizeBytes: Number(sizeBytes), quotaFrames: most };
    try {
      return this.add({ ...about, exists: false });
    } catch (error) {
      throw exhaustedOr(error, `the memory of process ${pid}`);
    }
  }

  /** Such pids are few on the node. @throws RpcError RESOURCE_EXHAUSTED */
  private expectFewFiles(): void {
    const files = [...this.byPid.keys()].filter((pid) => isProgramPid(pid)).length;
    if (files >= FILES_MAX)
      throw ofLimit(
        'memory-files',
        new RpcError(Code.ResourceExhausted, `${FILES_MAX} files of memory are the most of one vkernel`),
      );
  }

  /** `exists`: of the pmap manager whose place this one took. */
  add(about: {
    id: bigint;
    pid: bigint;
    file: string;
    sizeBytes: number;
    quotaFrames: number;
    exists: boolean;
  }): Vmspace {
    const { charges } = this.node.frames;
    const vmspace = new Vmspace({ ...about, session: this.session, charges });
    this.byId.set(vmspace.id, vmspace);
    this.byPid.set(vmspace.pid, vmspace);
    this.changes?.add(vmspace.id);
    return vmspace;
  }

  destroy(vmspace: Vmspace, takeFrames: boolean): void {
    this.forget(vmspace);
    vmspace.remove({ takeFrames });
    this.node.sync.ownerGone(vmspace.pid);
  }

  /** Its file stays, and what its process holds. */
  forget(vmspace: Vmspace): void {
    this.changes?.add(vmspace.id);
    for (const entry of [...vmspace.entries]) this.removeEntry(vmspace, entry);
    this.byId.delete(vmspace.id);
    this.node.watches.end(vmspace.id);
    this.byPid.delete(vmspace.pid);
    this.node.images.release(vmspace, monotonicMs());
    this.open.forget(vmspace);
  }

  mmap(value: VmspaceMmap): void {
    const vmspace = this.expect(value.vmspace);
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
      throw ofLimit(
        'map-entries',
        new RpcError(
          Code.ResourceExhausted,
          `process ${vmspace.pid} has ${ENTRIES_MAX} mappings, the most of one process; unmap some, or map longer ranges`,
        ),
      );
    const { address, lengthBytes, writable } = value;
    const end = address + lengthBytes;
    if (vmspace.entries.overlapping(address, end).length > 0)
      throw new RpcError(Code.AlreadyExists, 'the range overlaps another mapping; unmap that first');
    const linearOffset = linearOffsetOf(value, vmspace.sizeBytes);
    this.node.pageout.covered(vmspace, address, lengthBytes);
    this.addEntry({ vmspace, address, firstPage, pageCount, dataspace, writable, linearOffset });
  }

  /** @returns undefined: the image has to be brought first */
  layImage(value: ImageLay): Image | undefined {
    const vmspace = this.expect(value.vmspace);
    const image = this.node.images.lay(vmspace, value, monotonicMs());
    if (image !== undefined) this.changes?.add(vmspace.id);
    return image;
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

  /** @returns what is to be emptied, which takes more than a turn. @throws RpcError */
  mcontrol({ vmspace: id, address, lengthBytes, advice }: VmspaceMcontrol): PageRun[] {
    const runs: PageRun[] = [];
    const vmspace = this.expect(id);
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
        runs.push({ dataspace, firstPage: part.firstPage, pageCount: part.pageCount });
      else if (advice === McontrolAdvice.WILL_NEED) {
        const pageCount = Math.min(part.pageCount, ADVISED_PAGES_MAX);
        this.node.memory.step({ type: 'advise', entry, firstPage: part.firstPage, pageCount, mode: 'READ' });
      } else throw new RpcError(Code.InvalidArgument, 'advice: INVALIDATE or WILL_NEED');
    }
    return runs;
  }

  munmap({ vmspace: id, address, lengthBytes }: VmspaceMunmap): void {
    const vmspace = this.expect(id);
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
}
