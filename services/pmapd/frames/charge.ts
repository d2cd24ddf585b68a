// Who pays for a shared page on this node: the process here that brought it, by a number that is never used twice. A
// process that ended pays no more; its number then stands for nobody.
import { CHARGED_TO_NODE } from '@odonata/coherency/node/memory/page-frames.ts';

/** Shared pages are told to the virtual kernel when they are so many more or fewer: 1 MiB. */
const TELL_PAGES = 256;

export interface ChargedProcess {
  readonly pid: bigint;
  /** Private and shared frames that it may have; 0: what the node has. */
  readonly quotaFrames: number;
  /** It is none, but what the virtual kernel of that name keeps files in: `/tmp`. */
  readonly filesOf?: string | undefined;
  /** Private frames that it has now. */
  privateFrames(): number;
  /** How many more frames its virtual kernel may have. */
  vkernelRoom(): number;
  /** What it is told where that is none. */
  vkernelReason(): string;
  /** Its shared frames changed by much. */
  tell(sharedFrames: number): void;
  /** It must end, for others need its frames. */
  end(reason: string): void;
}

export class Charge {
  readonly number: number;
  readonly process: ChargedProcess;
  private shared = 0;
  private told = 0;

  constructor(number: number, process: ChargedProcess) {
    this.number = number;
    this.process = process;
  }

  get quotaFrames(): number {
    const { quotaFrames } = this.process;
    return quotaFrames === 0 ? Number.POSITIVE_INFINITY : quotaFrames;
  }

  get sharedFrames(): number {
    return this.shared;
  }

  /** All that it has. */
  get frames(): number {
    return this.shared + this.process.privateFrames();
  }

  /** How many more its quota has. */
  get quotaRoom(): number {
    return this.quotaFrames === Number.POSITIVE_INFINITY
      ? Number.POSITIVE_INFINITY
      : Math.max(0, this.quotaFrames - this.frames);
  }

  /** How many more its quota and that of its virtual kernel have. */
  get room(): number {
    return Math.min(this.quotaRoom, this.process.vkernelRoom());
  }

  add(pages: number): void {
    this.shared += pages;
    if (Math.abs(this.shared - this.told) < TELL_PAGES) return;
    this.told = this.shared;
    this.process.tell(this.shared);
  }
}

export class Charges {
  private readonly byNumber = new Map<number, Charge>();
  private next = CHARGED_TO_NODE + 1;

  /** Of a process that begins. */
  open(process: ChargedProcess): Charge {
    const charge = new Charge(this.next++, process);
    this.byNumber.set(charge.number, charge);
    return charge;
  }

  /** It ended. */
  close({ number }: Charge): void {
    this.byNumber.delete(number);
  }

  /** Undefined: the node itself, or a process that ended. */
  get(number: number): Charge | undefined {
    return this.byNumber.get(number);
  }

  get count(): number {
    return this.byNumber.size;
  }

  all(): Iterable<Charge> {
    return this.byNumber.values();
  }

  add(number: number, pages: number): void {
    this.byNumber.get(number)?.add(pages);
  }
}
