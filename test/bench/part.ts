// A part of the bench: what it needs, and what it gives back.
import type { Connection } from '@odonata/client/connection.ts';
import type { LayerName } from '@odonata/userfault/sandbox/layer-names.ts';
import type { Column } from '../../services/vkctl/table.ts';
import type { Figure } from './figure.ts';
import type { ProgramName } from './options.ts';

export interface Setting {
  /** A line to a fresh cluster. */
  to: Connection;
  quick: boolean;
  /** Of faults and of the sequential read: looks where their time goes, too. */
  profile?: boolean;
  /** The walls that the part `walls` does without. */
  without?: readonly LayerName[];
  /** What the part `parallel` runs; missing: all. */
  programs?: readonly ProgramName[];
  /** For files; it goes away with the run. */
  folder: string;
  signal: AbortSignal;
  /** Shows what is being done. */
  progress: (doing: string) => void;
}

export interface ResultTable {
  title: string;
  columns: Column[];
  rows: string[][];
  /** What a reader must know to read it. */
  notes: string[];
}

export interface PartResult {
  figures: Figure[];
  tables: ResultTable[];
  /** Everything that was measured, for the JSON. */
  measured: Record<string, unknown>;
}

export interface Part {
  title: string;
  nodes(quick: boolean): number;
  /** Vmspaces that may be made by hand on each node; missing: as many as pmapd lets. */
  nodeVmspaces?: number;
  run(setting: Setting): Promise<PartResult>;
}

/** Columns from heads; one that starts with > is right-aligned. */
export const columns = (...heads: string[]): Column[] =>
  heads.map((head) => (head.startsWith('>') ? { head: head.slice(1), align: 'right' } : { head }));
