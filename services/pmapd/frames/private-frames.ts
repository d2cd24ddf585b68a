// The frames of private memory that a virtual kernel has: granted ahead, given back, and waited for where there are none.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FrameAccount, PmapEventSchema } from '@odonata/proto/pmap/v1/pmap';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { WANT_MAX } from '../sessions/hearsay.ts';
import type { Vmspace } from '../sessions/vmspace.ts';
import { FrameAudit, UNCOUNTED_MAX } from './frame-audit.ts';
import type { Frames } from './frames.ts';
import type { Short } from './shortage.ts';

/** Requests of one virtual kernel that wait. */
const SHORT_MAX = 512;

export interface PrivateFramesOptions {
  node: {
    readonly memoryDir: string;
    readonly frames: Frames;
    short(short: Short): void;
  };
  session: {
    readonly holder: number;
    /** How many more frames it may hold. */
    frameRoom(): number;
    /** What a process is told where that is none. */
    frameReason(): string;
    readonly vmspaces: ReadonlyMap<bigint, Vmspace>;
    send(event: MessageInitShape<typeof PmapEventSchema>): void;
  };
}

export class PrivateFrames {
  private readonly o: PrivateFramesOptions;
  private readonly audit: FrameAudit;
  /** Granted, and not given back. */
  held = 0;
  /** There beside those, at the last look. */
  private excess = 0;
  private waiting = 0;

  constructor(options: PrivateFramesOptions) {
    this.o = options;
    this.audit = new FrameAudit(options.session.vmspaces);
  }

  /** Those that it has already. */
  resume(frames: number): void {
    this.held += frames;
    this.o.node.frames.resume(frames);
  }

  /** A process is over. */
  ends(vmspace: Vmspace): void {
    this.audit.ends(vmspace);
  }

  /** Looks at what is really there, which counts, whatever the virtual kernel says. @param onMore it is far more */
  look(onMore: (frames: number) => void): void {
    const more = this.audit.look(this.held);
    if (more === undefined || more === this.excess) return;
    const { frames } = this.o.node;
    if (more > this.excess) frames.resume(more - this.excess);
    else frames.giveBack(this.excess - more);
    this.excess = more;
    if (more > UNCOUNTED_MAX) onMore(more);
  }

  account(request: bigint, { want, giveBack, vmspace: id, full }: FrameAccount): void {
    // A virtual kernel that outlived another pmap manager may give back what it has from that one.
    const back = Math.max(0, Math.min(Number(giveBack), this.held));
    this.held -= back;
    this.audit.givenBack(back);
    this.o.node.frames.giveBack(back);
    if (full) this.waitForRoom(request, id);
    else if (want > 0n) this.grant(request, Math.min(Number(want), WANT_MAX), id);
  }

  /** Pages of its processes left. */
  lend(frames: number): void {
    this.held -= frames;
    this.o.node.frames.giveBack(frames);
  }

  /** Pages of its processes come, for which it asked nothing. @returns how many may */
  take(want: number): number {
    const frames = this.o.node.frames.grant(Math.min(want, this.o.session.frameRoom()));
    this.held += frames;
    return frames;
  }

  /** A process that was paged is over: what it lent its virtual kernel gives back as if it had it. */
  settle(lent: number): void {
    if (lent >= 0) this.resume(lent);
    else this.lend(Math.min(-lent, this.held));
  }

  private answer(request: bigint, frames: number, reason = ''): void {
    this.o.session.send({ request, event: { case: 'frames', value: { frames: BigInt(frames), reason } } });
  }

  private grant(request: bigint, want: number, id: bigint): void {
    const { node, session } = this.o;
    const vmspace = session.vmspaces.get(id);
    // A virtual kernel looks to the quotas of its processes; what its files may have is the node's to say.
    const ofFiles = vmspace?.filesOf === undefined ? want : vmspace.charge.quotaRoom;
    const allowed = Math.min(want, session.frameRoom(), ofFiles);
    const ahead = this.audit.mayGet(allowed, this.held, monotonicMs());
    const granted = node.frames.grant(ahead);
    this.held += granted;
    if (granted > 0 || vmspace === undefined) this.answer(request, granted);
    else if (ofFiles === 0) this.answer(request, 0, 'out of memory: its files have all that they may');
    else if (allowed === 0) this.answer(request, 0, session.frameReason());
    // Nobody else ends for that.
    else if (ahead === 0)
      this.answer(request, 0, 'out of memory: its virtual kernel has frames that its processes do not use');
    else
      this.short({
        ...{
          key: `frames ${session.holder} ${id} ${request}`,
          charge: vmspace.charge,
          what: 'private memory',
        },
        retry: () => this.grant(request, want, id),
        refuse: (reason) => this.answer(request, 0, reason),
      });
  }

  // It had frames, and the tmpfs has no room for them: others fill it. Who keeps being told to try again is refused.
  private waitForRoom(request: bigint, id: bigint): void {
    const { node, session } = this.o;
    const vmspace = session.vmspaces.get(id);
    if (vmspace === undefined) this.answer(request, 0);
    else if (vmspace.lacksRoomTooLong(monotonicMs()))
      this.answer(request, 0, `out of memory: ${node.memoryDir} is full; something else fills it`);
    else
      this.short({
        ...{ key: `room ${session.holder} ${id} ${request}`, charge: vmspace.charge, what: 'private memory' },
        retry: () => this.answer(request, 0),
        refuse: (reason) => this.answer(request, 0, reason),
      });
  }

  // Those of one virtual kernel that wait are so many at most: others wait, too.
  private short(short: Short): void {
    if (this.waiting >= SHORT_MAX) {
      short.refuse(`${SHORT_MAX} requests for frames of its virtual kernel wait`);
      return;
    }
    this.waiting++;
    const retry = () => {
      this.waiting--;
      short.retry();
    };
    const refuse = (reason: string) => {
      this.waiting--;
      short.refuse(reason);
    };
    this.o.node.short({ ...short, retry, refuse });
  }

  /** The virtual kernel is gone. */
  close(): void {
    this.o.node.frames.giveBack(this.held + this.excess);
    [this.held, this.excess] = [0, 0];
  }
}
