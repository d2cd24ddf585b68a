// What happened last to each page, kept for the report of a failure; with a trace, told as it happens.
import type { PageRun } from '@odonata/coherency/page.ts';
import type { Layout } from './world/layout.ts';

interface Entry {
  atMs: number;
  step: number;
  who: string;
  what: string;
  about: object | undefined;
}

/** Events that are kept of each page, and of those that concern no page. */
const KEPT = 40;

export class History {
  private readonly layout: Layout;
  private readonly rings: Entry[][] = [];
  private readonly next: number[] = [];
  private readonly tell: ((line: string) => void) | undefined;

  constructor(layout: Layout, tell: ((line: string) => void) | undefined) {
    this.layout = layout;
    this.tell = tell;
    for (let i = 0; i <= layout.pages; i++) {
      this.rings.push([]);
      this.next.push(0);
    }
  }

  /** @param run undefined where no page is concerned */
  note(at: { nowMs: number; steps: number }, who: string, what: string, run?: PageRun, about?: object): void {
    const entry = { atMs: at.nowMs, step: at.steps, who, what, about };
    this.tell?.(line(entry));
    if (run === undefined) {
      this.keep(this.layout.pages, entry);
      return;
    }
    const used = this.layout.used(run);
    const first = this.layout.pageOf(used.dataspace, used.firstPage);
    for (let i = 0; i < used.pageCount; i++) this.keep(first + i, entry);
  }

  private keep(ring: number, entry: Entry): void {
    const entries = this.rings[ring];
    if (entries === undefined) return;
    const at = this.next[ring]!;
    entries[at] = entry;
    this.next[ring] = (at + 1) % KEPT;
  }

  /** The last events of a page and those that concern no page, oldest first. */
  lines(page: number | undefined): string[] {
    const entries = [
      ...this.rings[this.layout.pages]!,
      ...(page === undefined ? [] : (this.rings[page] ?? [])),
    ];
    return entries.sort((a, b) => a.step - b.step).map(line);
  }
}

function line({ atMs, step, who, what, about }: Entry): string {
  return `${step} ${atMs.toFixed(2)}ms ${who} ${what}${about === undefined ? '' : ` ${describe(about)}`}`;
}

function describe(about: object): string {
  return JSON.stringify(about, (_, value) => (typeof value === 'bigint' ? Number(value) : value))
    .replaceAll('"', '')
    .replaceAll(/run:{dataspace:(\d+),firstPage:(\d+),pageCount:(\d+)}/g, 'run:$1/$2+$3');
}
