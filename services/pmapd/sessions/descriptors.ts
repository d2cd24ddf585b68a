// Descriptors of this process: each dataspace that is known here takes one, each vmspace one. What they may have leaves
// enough for sockets, and for the next virtual kernel.
import { readFileSync } from 'node:fs';

/** Of the limit: dataspaces; and those with vmspaces. */
const DATASPACES_PART = 1 / 2;
const FILES_PART = 7 / 8;
/** Vmspaces of one virtual kernel. */
const OF_ONE_PART = 5 / 8;

/** The limit of open files; Node raises the soft one to the hard one when it starts. */
function openFilesMax(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  return soft === undefined || soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}

export class Descriptors {
  readonly dataspacesMax: number;
  readonly filesMax: number;
  /** Vmspaces of one virtual kernel. */
  readonly ofOneMax: number;

  constructor(openFiles = openFilesMax()) {
    this.dataspacesMax = Math.floor(openFiles * DATASPACES_PART);
    this.filesMax = Math.floor(openFiles * FILES_PART);
    this.ofOneMax = Math.floor(openFiles * OF_ONE_PART);
  }
}
