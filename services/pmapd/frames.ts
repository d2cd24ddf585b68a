// Frame credit: the node's frames, and who was granted how many ahead.
export class Frames {
  readonly total: number;
  private granted = 0;

  constructor(total: number) {
    this.total = total;
  }

  /** Frames granted for private memory. */
  get privateFrames(): number {
    return this.granted;
  }

  /**
   * Grants frames ahead, as many as there are.
   * @param inUse frames that shared dataspaces take
   */
  grant(want: number, inUse: number): number {
    const frames = Math.max(0, Math.min(want, this.total - this.granted - inUse));
    this.granted += frames;
    return frames;
  }

  giveBack(frames: number): void {
    this.granted = Math.max(0, this.granted - frames);
  }
}
