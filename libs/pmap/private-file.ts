// Private memory that nobody maps: a memory file of the pmap manager that is read and written as one. It is charged as a process is,
// and told of as one; its pages never leave to swap, since nobody would bring them back.
import { closeSync } from 'node:fs';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { vmspaceLabel } from '@odonata/userfault/memory-label.ts';
import { Errno } from './errno.ts';
import { PmapError, type PrivateFile, type PrivateFileOptions } from './pmap-interface.ts';
import type { PmapSession } from './pmap-session.ts';

/** Asked for at once: 1 MiB. */
const STEP = 256;

export class PrivateMemoryFile implements PrivateFile {
  readonly id: bigint;
  readonly fd: number;
  private readonly session: PmapSession;
  private readonly onLost: (reason: string) => void;
  /** Granted, and in nobody's use. */
  private credit = 0;
  private isOver = false;

  static async create(session: PmapSession, options: PrivateFileOptions): Promise<PrivateMemoryFile> {
    const { sizeBytes, quotaBytes } = options;
    const quotaFrames = BigInt(Math.ceil(quotaBytes / PAGE_BYTES));
    const value = { pid: 0n, sizeBytes: BigInt(sizeBytes), quotaFrames };
    const answer = await session.ask({ case: 'vmspaceCreate', value });
    if (answer.case !== 'vmspaceCreated')
      throw new PmapError(Errno.inval, `vmspace_create was answered with ${answer.case}`);
    const { vmspace } = answer.value;
    try {
      return new PrivateMemoryFile(session, vmspace, session.takeDescriptor(vmspaceLabel(vmspace)), options);
    } catch (error) {
      session.send({ case: 'vmspaceDestroy', value: { vmspace } });
      throw error;
    }
  }

  private constructor(session: PmapSession, id: bigint, fd: number, { onLost }: PrivateFileOptions) {
    this.session = session;
    this.id = id;
    this.fd = fd;
    this.onLost = onLost;
  }

  async take(pages: number): Promise<number> {
    if (this.credit < pages) {
      const want = BigInt(Math.max(STEP, pages - this.credit));
      const answer = await this.session.ask({ case: 'frames', value: { want, vmspace: this.id } });
      if (answer.case === 'frames') this.credit += Number(answer.value.frames);
    }
    if (this.isOver) return 0;
    const granted = Math.min(pages, this.credit);
    this.credit -= granted;
    return granted;
  }

  give(pages: number): void {
    if (this.isOver) return;
    this.credit += pages;
    // Others may need what is more than a step.
    const giveBack = BigInt(this.credit - STEP);
    if (giveBack <= 0n) return;
    this.credit = STEP;
    this.session.send({ case: 'frames', value: { giveBack } });
  }

  /** Somebody else has the frames. `pages`: how many of them were in use. */
  lost(reason: string): void {
    if (this.isOver) return;
    this.onLost(reason);
    this.close();
  }

  close(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.session.send({ case: 'vmspaceDestroy', value: { vmspace: this.id } });
    this.session.send({ case: 'frames', value: { giveBack: BigInt(this.credit) } });
    closeSync(this.fd);
  }
}
