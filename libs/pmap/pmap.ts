// The vkernel's pmap: linear memories of processes laid over memory files and watched by userfaultfd.

import { Worker } from 'node:worker_threads';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { PageVmspace } from '@odonata/proto/pmap/v1/pmap';
import type { RpcError } from '@odonata/rpc/error.ts';
import { ownToken } from '@odonata/rpc/identity/own.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Userfault } from '@odonata/userfault/userfault.ts';
import type { FaultThreadData, FaultThreadOrder, FaultThreadReport } from './fault-thread.ts';
import { CREDIT_STEP, FrameCredit } from './frame-credit.ts';
import { Images } from './images.ts';
import { usePoison } from './last-fill.ts';
import { MemoryFiles } from './memory-files.ts';
import type { Pmap, PrivateFile, PrivateFileOptions, Space, SpaceOptions } from './pmap-interface.ts';
import type { PmapParts } from './pmap-parts.ts';
import { type PmapAnswer, PmapSession } from './pmap-session.ts';
import { PrivateMemoryFile } from './private-file.ts';
import { SharedLease } from './shared-lease.ts';
import { Vmspace } from './vmspace.ts';

export interface PmapOptions {
  /** unix:/path of the node's pmap manager. */
  address: string;
  /** Path of the socket on which it takes descriptors. */
  userfaultSocket: string;
  /** Name of this vkernel. */
  name: string;
  log: Logger;
  /** Of its faults that the pmap manager serves, this part is traced; none unless told. */
  traceSample?: number;
  /** A program of a person's, outside of virtual kernels; absent: a virtual kernel. */
  program?: ProgramOptions;
}

export interface ProgramOptions {
  /** Who it is; absent: a cluster without identities. */
  readonly tlsDir: string | undefined;
  /** Its pmap manager did not take it, or not any more; it is tried again. */
  onRefused(error: RpcError): void;
}

/** Joins the node's pmap manager; waits until it answers. @throws SystemCallError without userfaultfd. */
export async function createPmap(options: PmapOptions): Promise<Pmap> {
  const pmap = new VkernelPmap(options);
  await pmap.session.whenReady();
  // It has next to no memory of its own.
  if (options.program === undefined) await pmap.askFrames(CREDIT_STEP);
  return pmap;
}

interface FramesAsked {
  want?: bigint;
  vmspace?: bigint;
  /** The tmpfs is full. */
  full?: boolean;
}

class VkernelPmap implements Pmap, PmapParts {
  readonly session: PmapSession;
  readonly userfault = Userfault.create();
  readonly files = new MemoryFiles();
  readonly images: Images;
  private readonly credit = new FrameCredit();
  private readonly thread: Worker;
  private readonly vmspaces = new Map<bigint, Vmspace>();
  private readonly memoryFiles = new Map<bigint, PrivateMemoryFile>();
  private readonly log: Logger;
  readonly outlived: boolean;
  readonly lease = new SharedLease(() => {
    for (const vmspace of [...this.vmspaces.values()]) vmspace.leaseEnded();
  });

  constructor(options: PmapOptions) {
    const { program } = options;
    this.log = options.log;
    this.outlived = program !== undefined;
    if (this.outlived) usePoison();
    this.session = new PmapSession({
      ...options,
      userfault: this.userfault.fd,
      onEvent: (event) => this.hear(event, options.address),
      onMoving: () => this.order({ type: 'moving' }),
      onRefused: (error) => program?.onRefused(error),
      onLost: () => {
        this.credit.clear();
        this.files.forget();
        this.lease.renew(0n);
        for (const vmspace of [...this.vmspaces.values()])
          vmspace.fatal('SIGKILL', 'the pmap manager of its node went away');
        for (const file of [...this.memoryFiles.values()])
          file.lost('the pmap manager of its node went away');
        this.memoryFiles.clear();
      },
    });
    this.images = new Images(this.session);
    const workerData: FaultThreadData = {
      identity: ownToken() ?? '',
      tlsDir: program?.tlsDir ?? '',
      outlived: this.outlived,
      traceSample: options.traceSample ?? 0,
      userfault: this.userfault.fd,
      credit: this.credit.cells,
    };
    this.thread = new Worker(new URL('./fault-thread.ts', import.meta.url), { workerData, name: 'faults' });
    this.thread.on('message', (report: FaultThreadReport) => this.receive(report));
    this.thread.on('error', (error) => {
      // Every guest would wait for ever: the vkernel ends instead, with a reason.
      throw new Error('the fault thread died', { cause: error });
    });
    this.thread.unref();
  }

  async createSpace(options: SpaceOptions): Promise<Space> {
    await this.session.whenReady();
    const vmspace = await Vmspace.create(this, options);
    this.vmspaces.set(vmspace.id, vmspace);
    return vmspace;
  }

  async createFile(options: PrivateFileOptions): Promise<PrivateFile> {
    await this.session.whenReady();
    const file = await PrivateMemoryFile.create(this.session, options);
    this.memoryFiles.set(file.id, file);
    return file;
  }

  order(order: FaultThreadOrder): void {
    this.thread.postMessage(order);
  }

  remove(vmspace: bigint): void {
    this.vmspaces.delete(vmspace);
  }

  /** Asks for frames ahead; resolves with how many came. */
  async askFrames(want: number): Promise<number> {
    return (await this.frames({ want: BigInt(want) })).frames;
  }

  private async frames(value: FramesAsked): Promise<{ frames: number; reason: string }> {
    try {
      const answer = await this.session.ask({ case: 'frames', value });
      if (answer.case !== 'frames') return { frames: 0, reason: `frames were answered with ${answer.case}` };
      const frames = Number(answer.value.frames);
      this.credit.add(frames);
      return { frames, reason: answer.value.reason };
    } catch (error) {
      this.log.warn({ err: error }, 'no frames ahead');
      return { frames: 0, reason: (error as Error).message };
    }
  }

  private hear(event: PmapAnswer, address: string): void {
    // Before any vmspace is made of this pmap manager, so before any fault that it must hear of.
    if (event.case === 'welcome') this.order({ type: 'pmap', address, token: event.value.faultToken });
    // Who watched did so at the pmap manager that was.
    if (event.case === 'welcome') for (const vmspace of this.vmspaces.values()) vmspace.watched(false);
    if (event.case === 'lease') this.lease.renew(event.value.deadlineNs);
    if (event.case === 'sharedCharge')
      this.vmspaces.get(event.value.vmspace)?.setShared(Number(event.value.frames));
    if (event.case === 'flush') this.vmspaces.get(event.value.vmspace)?.flush();
    if (event.case === 'pageVmspace') this.page(event.value);
    if (event.case === 'imageWritten') this.vmspaces.get(event.value.vmspace)?.imageWritten(event.value);
    if (event.case === 'trace') this.vmspaces.get(event.value.vmspace)?.watched(event.value.on);
    if (event.case !== 'faultError') return;
    const { vmspace, address: page, signal, reason } = event.value;
    this.vmspaces.get(vmspace)?.fatal(signal, reason, page === 0n ? undefined : page);
    this.memoryFiles.get(vmspace)?.lost(reason);
    this.memoryFiles.delete(vmspace);
  }

  private page({ vmspace, ends, charge }: PageVmspace): void {
    if (this.memoryFiles.has(vmspace)) return;
    if (ends) this.vmspaces.get(vmspace)?.charge(Number(charge));
    this.order({ type: ends ? 'unpaged' : 'paged', vmspace });
  }

  private receive(report: FaultThreadReport): void {
    switch (report.type) {
      case 'lost':
        this.session.breakOff(report.reason);
        return;
      case 'low':
        void this.askFrames(CREDIT_STEP).finally(() => this.credit.asked());
        return;
      case 'dry':
        void this.refill(report.vmspace, report.address);
        return;
      case 'full':
        void this.waitForRoom(report.vmspace, report.address);
        return;
      case 'over': {
        const vmspace = this.vmspaces.get(report.vmspace);
        if (vmspace === undefined) return;
        const reason = vmspace.overQuota();
        this.session.send({ case: 'memoryEnd', value: { vmspace: vmspace.id, reason } });
        vmspace.fatal('SIGKILL', reason, report.address);
        return;
      }
      case 'paged': {
        const giveBack = BigInt(report.unspent);
        if (giveBack > 0n) this.session.send({ case: 'frames', value: { giveBack } });
        const address = this.vmspaces.get(report.vmspace)?.base;
        if (address !== undefined)
          this.session.send({ case: 'paged', value: { vmspace: report.vmspace, address } });
        return;
      }
      case 'served':
        this.session.send({
          case: 'localFaults',
          value: { count: BigInt(report.count), pages: BigInt(report.pages), sampleNs: report.sampleNs },
        });
    }
  }

  private async refill(id: bigint, address: bigint): Promise<void> {
    this.vmspaces.get(id)?.waits(address);
    if (this.credit.frames > 0) {
      this.userfault.wake(address, PAGE_BYTES);
      return;
    }
    // Answered when there are frames, or with the reason why there will be none.
    const { frames, reason } = await this.frames({ want: BigInt(CREDIT_STEP), vmspace: id });
    const why = reason || 'out of memory: the node has no more frames';
    // What was asked ahead may have come meanwhile, and be all that there is.
    this.goOn(id, address, frames === 0 && this.credit.frames === 0 ? why : undefined);
  }

  // There is credit, and no memory behind it.
  private async waitForRoom(id: bigint, address: bigint): Promise<void> {
    this.vmspaces.get(id)?.waits(address);
    const { reason } = await this.frames({ vmspace: id, full: true });
    this.goOn(id, address, reason || undefined);
  }

  private goOn(id: bigint, address: bigint, refused: string | undefined): void {
    const vmspace = this.vmspaces.get(id);
    if (vmspace === undefined) return;
    if (refused !== undefined) vmspace.fatal('SIGKILL', refused, address);
    // The fault thread can serve it now: let the guest fault once more.
    else this.userfault.wake(address, PAGE_BYTES);
  }

  async close(): Promise<void> {
    this.lease.renew(0n);
    this.session.close();
    await this.thread.terminate();
    // A virtual kernel ends now; a program goes on.
    if (this.outlived) this.userfault.close();
  }
}
