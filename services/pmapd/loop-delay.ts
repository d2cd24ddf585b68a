// For how long the event loop did not come to its next turn, at most, in the five to ten seconds before. Measured while somebody
// asks: a node of which nobody wants to know is not woken for it.
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { ownTurn } from '@odonata/rpc/bug.ts';

const RESOLUTION_MS = 10;
const WINDOW_MS = 5_000;

export class LoopDelay {
  private histogram: IntervalHistogram | undefined;
  private timer: NodeJS.Timeout | undefined;
  private beforeMs = 0;
  private isAsked = false;

  /** In ms; 0 where nobody asked before. */
  longestMs(): number {
    this.isAsked = true;
    if (this.histogram === undefined) this.begin();
    return Math.max(this.beforeMs, this.nowMs());
  }

  private begin(): void {
    this.histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.histogram.enable();
    this.timer = setInterval(
      ownTurn({ timer: 'loop delay' }, () => this.turn()),
      WINDOW_MS,
    ).unref();
  }

  private turn(): void {
    if (!this.isAsked) {
      this.close();
      return;
    }
    this.beforeMs = this.nowMs();
    this.histogram?.reset();
    this.isAsked = false;
  }

  // It has the time between two turns of a timer.
  private nowMs(): number {
    return Math.max(0, (this.histogram?.max ?? 0) / 1e6 - RESOLUTION_MS);
  }

  close(): void {
    clearInterval(this.timer);
    this.histogram?.disable();
    [this.histogram, this.timer, this.beforeMs] = [undefined, undefined, 0];
  }
}
