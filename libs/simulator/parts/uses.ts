// What the node itself uses pages for: the store's copies, writes by hand, pages of a node that leaves. Each waits for the memory.
import type { MemoryEvent, Use, UseRefusal } from '@odonata/coherency/node/memory/memory-messages.ts';
import type { AccessMode, PageRun } from '@odonata/coherency/page.ts';

type End = Extract<MemoryEvent<never, never>, { type: 'end' }>;

interface Outcome {
  usable(): void;
  refused(refusal: UseRefusal): void;
}

export class Uses {
  private readonly open = new Map<number, Outcome & { use: Use }>();
  private last = 0;
  /** Those that ended in this step. */
  private readonly ended: End[] = [];

  begin(run: PageRun, mode: AccessMode, { usable, refused }: Outcome): Use {
    const operation = ++this.last;
    const use: Use = { type: 'use', operation, run, mode };
    const end = (): void => {
      this.open.delete(operation);
      this.ended.push({ type: 'end', operation, dataspace: run.dataspace });
    };
    this.open.set(operation, {
      use,
      usable: () => {
        usable();
        end();
      },
      refused: (refusal) => {
        refused(refusal);
        end();
      },
    });
    return use;
  }

  get(operation: number): (Outcome & { use: Use }) | undefined {
    return this.open.get(operation);
  }

  all(): Use[] {
    return [...this.open.values()].map(({ use }) => use);
  }

  takeEnded(): End[] {
    return this.ended.splice(0);
  }
}
