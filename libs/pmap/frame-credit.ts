// Frames that pmapd granted ahead, shared between the fault thread, which spends them, and the main
// thread, which asks for more. A first touch of private memory costs no message while credit lasts.

/** Below this many frames more are asked for. */
export const CREDIT_LOW = 2_048;
/** Asked for at once; 32 MiB. */
export const CREDIT_STEP = 8_192;

const FRAMES = 0;
const ASKED = 1;

export class FrameCredit {
  readonly cells: Int32Array<SharedArrayBuffer>;

  constructor(cells = new Int32Array(new SharedArrayBuffer(8))) {
    this.cells = cells;
  }

  /** Takes up to `want` frames; the fault thread is the only one that takes. */
  take(want: number): number {
    const frames = Math.min(want, Math.max(0, Atomics.load(this.cells, FRAMES)));
    Atomics.sub(this.cells, FRAMES, frames);
    return frames;
  }

  add(frames: number): void {
    Atomics.add(this.cells, FRAMES, frames);
  }

  get frames(): number {
    return Atomics.load(this.cells, FRAMES);
  }

  /** The pmap manager that granted them is gone. */
  clear(): void {
    Atomics.store(this.cells, FRAMES, 0);
  }

  /** True for one caller when credit is low and nobody has asked yet. */
  claimAsking(): boolean {
    return this.frames < CREDIT_LOW && Atomics.compareExchange(this.cells, ASKED, 0, 1) === 0;
  }

  asked(): void {
    Atomics.store(this.cells, ASKED, 0);
  }
}

/** What the fault thread and the main thread share of one vmspace. */
export class SpaceCells {
  readonly cells: Int32Array<SharedArrayBuffer>;

  constructor(cells = new Int32Array(new SharedArrayBuffer(16))) {
    this.cells = cells;
  }

  /** Private pages charged to the process. */
  get charged(): number {
    return Atomics.load(this.cells, 0);
  }

  charge(pages: number): void {
    Atomics.add(this.cells, 0, pages);
  }

  /** Shared pages that it brought to the node, as the pmap manager told last. */
  get shared(): number {
    return Atomics.load(this.cells, 2);
  }

  set shared(pages: number) {
    Atomics.store(this.cells, 2, pages);
  }

  /** What of the quota is for its further threads, in pages. */
  get beside(): number {
    return Atomics.load(this.cells, 3);
  }

  set beside(pages: number) {
    Atomics.store(this.cells, 3, pages);
  }

  /** The process is ending: its faults are zero-filled, so that its thread can end. */
  get dying(): boolean {
    return Atomics.load(this.cells, 1) === 1;
  }

  die(): void {
    Atomics.store(this.cells, 1, 1);
  }
}
