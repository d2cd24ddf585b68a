// The dataspaces that one process has open, and what it asks of them by name: opening, range locks, sync.
import { LockMode, SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import { Code } from '@odonata/rpc/error.ts';
import { dataspaceLabel } from '@odonata/userfault/memory-label.ts';
import { Errno } from './errno.ts';
import type { MemoryFile, MemoryFiles } from './memory-files.ts';
import {
  type Dataspace,
  type Meeting,
  type OpenFlags,
  PmapError,
  type RangeLockMode,
} from './pmap-interface.ts';
import type { PmapSession } from './pmap-session.ts';

/** Dataspaces that one process may open. */
const OPENED_MAX = 4_096;

/** What a directory counts to: 285,000 years. */
const WAIT_MS_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** Any 64 bits that a program may say: what is below 0 waits for ever, what is above all counting that long. */
function waitMsOf(timeoutMs: bigint): bigint {
  if (timeoutMs < 0n) return -1n;
  return timeoutMs > WAIT_MS_MAX ? WAIT_MS_MAX : timeoutMs;
}

const ERRNO_OF: Partial<Record<SyncStatus, number>> = {
  [SyncStatus.TIMED_OUT]: Errno.timedout,
  [SyncStatus.DEADLOCK]: Errno.deadlk,
  [SyncStatus.NOT_FOUND]: Errno.noent,
  [SyncStatus.EXHAUSTED]: Errno.nomem,
  [SyncStatus.BROKEN]: Errno.ownerdead,
};

interface OpenedDataspace {
  /** What is mapped: of a read-only one it is open for reading only. */
  readonly file: MemoryFile;
  readonly sizeBytes: bigint;
  readonly readOnly: boolean;
}

export class OpenedDataspaces {
  private readonly session: PmapSession;
  private readonly files: MemoryFiles;
  private readonly pid: bigint;
  private readonly vmspace: bigint;
  private readonly opened = new Map<bigint, OpenedDataspace>();
  private over = false;

  constructor(session: PmapSession, files: MemoryFiles, { pid, vmspace }: { pid: bigint; vmspace: bigint }) {
    this.session = session;
    this.files = files;
    this.pid = pid;
    this.vmspace = vmspace;
  }

  /** @throws PmapError ENOENT */
  get(dataspace: bigint): OpenedDataspace {
    const about = this.opened.get(dataspace);
    if (about === undefined)
      throw new PmapError(Errno.noent, `dataspace ${dataspace} is not open in this process`);
    return about;
  }

  /** @throws PmapError ENOENT, EACCES */
  expectWritable(dataspace: bigint): void {
    if (this.get(dataspace).readOnly)
      throw new PmapError(Errno.acces, `dataspace ${dataspace} may only be read`);
  }

  async open(name: string, sizeBytes: bigint, flags: OpenFlags): Promise<Dataspace> {
    if (flags.create && sizeBytes <= 0n) throw new PmapError(Errno.inval, 'a new dataspace needs a size');
    if (this.opened.size >= OPENED_MAX)
      throw new PmapError(
        Errno.mfile,
        `${OPENED_MAX} dataspaces are the most that one process may have open`,
      );
    const { exclusive, durable } = flags;
    const { vmspace } = this;
    const value = { name, sizeBytes: flags.create ? sizeBytes : 0n, exclusive, durable, vmspace };
    const answer = await this.session.ask({ case: 'open', value });
    if (answer.case !== 'opened') throw new PmapError(Errno.inval, `open was answered with ${answer.case}`);
    const { dataspace, sizeBytes: size, readOnly } = answer.value;
    const file = this.files.keep(
      dataspace,
      readOnly,
      this.session.takeDescriptor(dataspaceLabel(dataspace, readOnly)),
    );
    if (this.over) {
      file.release();
      throw new PmapError(Errno.inval, 'the process is ending');
    }
    const before = this.opened.get(dataspace);
    if (!flags.create && sizeBytes > 0n && sizeBytes !== size) {
      file.release();
      const reason = `dataspace ${name} exists with ${size} bytes, not ${sizeBytes}`;
      throw new PmapError(Errno.inval, reason, Code.AlreadyExists);
    }
    this.opened.set(dataspace, { file, sizeBytes: size, readOnly });
    before?.file.release();
    return { id: dataspace, sizeBytes: size, readOnly };
  }

  async lock(
    dataspace: bigint,
    begin: bigint,
    end: bigint,
    mode: RangeLockMode,
    timeoutMs: bigint,
  ): Promise<void> {
    this.get(dataspace);
    if (begin > end) throw new PmapError(Errno.inval, `range ${begin} to ${end} is empty`);
    const about = { dataspace, begin, end, mode: LockMode[mode], owner: this.pid };
    const value = { ...about, timeoutMs: waitMsOf(timeoutMs) };
    const answer = await this.session.ask({ case: 'lock', value });
    if (answer.case !== 'lock') throw new PmapError(Errno.inval, `lock was answered with ${answer.case}`);
    if (answer.value.status !== SyncStatus.OK)
      throw new PmapError(ERRNO_OF[answer.value.status] ?? Errno.inval, SyncStatus[answer.value.status]!);
  }

  async unlock(dataspace: bigint, begin: bigint, end: bigint): Promise<void> {
    await this.session.ask({ case: 'unlock', value: { dataspace, begin, end, owner: this.pid } });
  }

  async barrier(dataspace: bigint, { name, count, generation }: Meeting, timeoutMs: bigint): Promise<void> {
    // Who may only read it is refused there, and everybody where it is of another cluster.
    this.get(dataspace);
    const about = { dataspace, name, count, generation, owner: this.pid };
    const value = { ...about, timeoutMs: waitMsOf(timeoutMs) };
    const answer = await this.session.ask({ case: 'barrier', value });
    if (answer.case !== 'barrier')
      throw new PmapError(Errno.inval, `barrier was answered with ${answer.case}`);
    if (answer.value.status !== SyncStatus.OK)
      throw new PmapError(ERRNO_OF[answer.value.status] ?? Errno.inval, SyncStatus[answer.value.status]!);
  }

  /** The process is over: what it had of memory files goes. */
  close(): void {
    this.over = true;
    for (const { file } of this.opened.values()) file.release();
    this.opened.clear();
  }

  async nameRange(dataspace: bigint, begin: bigint, length: bigint, name: string): Promise<void> {
    const value = { vmspace: this.vmspace, dataspace, begin, end: begin + length, name };
    await this.session.ask({ case: 'rangeName', value });
  }

  async remove(name: string): Promise<void> {
    await this.session.ask({ case: 'remove', value: { name, vmspace: this.vmspace } });
  }

  async sync(dataspace: bigint, offset: bigint, length: bigint): Promise<void> {
    await this.session.ask({ case: 'sync', value: { dataspace, offset, length } });
  }
}
