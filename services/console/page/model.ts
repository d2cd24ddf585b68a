// What the page knows, and who is told when that changed: at most once a frame.
import { useEffect, useState } from 'preact/hooks';
import type { Delta, EventRow, ProcessRow } from '../feed.ts';
import * as server from './server.ts';

const EVENTS_KEPT = 1_000;

export class Model {
  look: Omit<Delta, 'processes' | 'ended'> | undefined;
  readonly processes = new Map<string, ProcessRow>();
  events: EventRow[] = [];
  open = false;
  /** Grows with each change. */
  version = 0;
  readonly #listeners = new Set<() => void>();
  #told = false;

  start(expired: () => void): () => void {
    return server.feed({
      look: ({ processes, ended, ...look }) => {
        // The first after a break holds all.
        if (!this.open || processes.length >= this.processes.size) this.processes.clear();
        this.open = true;
        for (const pid of ended) this.processes.delete(pid);
        for (const row of processes) this.processes.set(row.pid, row);
        this.look = look;
        this.#changed();
      },
      events: (rows) => {
        if (rows.length > 1) this.events = rows;
        else this.events = [...this.events, ...rows].slice(-EVENTS_KEPT);
        this.#changed();
      },
      state: (open) => {
        if (!open) {
          this.open = false;
          this.#changed();
          server.session().then(
            ({ who }) => who === undefined && expired(),
            () => {},
          );
        }
      },
    });
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changed(): void {
    this.version++;
    if (this.#told) return;
    this.#told = true;
    requestAnimationFrame(() => {
      this.#told = false;
      for (const listener of this.#listeners) listener();
    });
  }
}

/** Draws again when the model changed. */
export function useModel(model: Model): number {
  const [version, set] = useState(model.version);
  useEffect(() => model.listen(() => set(model.version)), [model]);
  return version;
}
