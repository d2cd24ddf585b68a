// Memory files that a virtual kernel made longer than their dataspaces, which no seal and no rule of the kernel forbids whoever may
// write them: looked at some at a time, and what is there is given back.
import type { SharedDataspace } from '../memory/shared-dataspace.ts';

/** Files of one look: some milliseconds. */
const LOOK_MAX = 1_024;

export class GrowthAudit {
  private readonly all: () => Iterable<SharedDataspace>;
  private readonly onGrown: (dataspace: SharedDataspace) => void;
  private left: Iterator<SharedDataspace> | undefined;

  constructor(all: () => Iterable<SharedDataspace>, onGrown: (dataspace: SharedDataspace) => void) {
    this.all = all;
    this.onGrown = onGrown;
  }

  look(): void {
    this.left ??= this.all()[Symbol.iterator]();
    for (let i = 0; i < LOOK_MAX; i++) {
      const { value, done } = this.left.next();
      if (done) {
        this.left = undefined;
        return;
      }
      if (value.file.undoGrowth()) this.onGrown(value);
    }
  }
}
