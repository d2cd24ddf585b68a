// The last hour of a cluster, a point each five seconds: what the charts show. Its size is bounded by time, kinds and nodes.
import type { Top } from '@odonata/client/look/top.ts';

const EVERY_MS = 5_000;
const POINTS = 720;
const NODES_MAX = 256;

export interface Point {
  atMs: number;
  /** Faults a second of all nodes, by kind. */
  faults: Record<string, number>;
  pagesIn: number;
  pagesOut: number;
  invalidations: number;
  processes: number;
  /** Bytes of frames in use. */
  usedBytes: number;
  /** Faults a second, by node. */
  nodes: Record<string, number>;
}

const PAGE_BYTES = 4_096;

export class History {
  readonly #points: Point[] = [];

  add(top: Top, atMs: number): void {
    if (top.overMs === 0) return;
    const last = this.#points.at(-1);
    if (last !== undefined && atMs - last.atMs < EVERY_MS) return;
    this.#points.push(pointOf(top, atMs));
    if (this.#points.length > POINTS) this.#points.shift();
  }

  since(ms: number): readonly Point[] {
    return this.#points.filter(({ atMs }) => atMs > ms);
  }
}

function pointOf(top: Top, atMs: number): Point {
  const point: Point = {
    ...{ atMs, faults: {}, pagesIn: 0, pagesOut: 0, invalidations: 0 },
    ...{ processes: top.processes.length, usedBytes: 0, nodes: {} },
  };
  top.nodes.forEach((node, at) => {
    let all = 0;
    for (const [kind, { perS }] of Object.entries(node.faults)) {
      point.faults[kind] = (point.faults[kind] ?? 0) + perS;
      all += perS;
    }
    point.pagesIn += node.pagesInPerS;
    point.pagesOut += node.pagesOutPerS;
    point.invalidations += node.invalidationsPerS;
    point.usedBytes += Number(node.framesPrivate + node.pagesShared) * PAGE_BYTES;
    if (at < NODES_MAX) point.nodes[node.name] = all;
  });
  return point;
}
