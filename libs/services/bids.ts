// Which node claims what nobody has: all rank each other by the same records, and the best suited claims at once, the next one a moment
// later, where it is not claimed yet. It is a matter of balance alone: of two that claim one instance, one does.
import type { KnownRecords } from './known-records.ts';
import * as plan from './plan.ts';
import { instanceKey, type ServiceRecord, serviceKey } from './record.ts';
import { BID_MS } from './times.ts';

interface Open {
  readonly service: ServiceRecord;
  readonly replica: number;
}

export class Bids {
  /** Since when this node would take it. */
  readonly #sinceMs = new Map<string, number>();

  /** Those that this node is to claim now. @param nodes that are there, this one too */
  due(
    open: readonly Open[],
    about: { node: string; nodes: readonly string[]; records: KnownRecords; nowMs: number },
  ): Open[] {
    const { node, nodes, records, nowMs } = about;
    const counts = new Map<string, number>();
    const count = (word: string) => counts.set(word, (counts.get(word) ?? 0) + 1);
    const has = (of: string, kind = '') => counts.get(`${of} ${kind}`) ?? 0;
    const took = (by: string, owner: string, name: string) => {
      count(`${by} `);
      count(`${by} ${serviceKey(owner, name)}`);
    };
    for (const key of records.keys()) {
      const value = records.look(key);
      if (value?.kind === 'instance' && value.node !== '' && !plan.isFree(records.look, value))
        took(value.node, value.owner, value.service);
    }
    const wanted = new Set<string>();
    const due: Open[] = [];
    for (const each of open) {
      const { owner, name } = each.service;
      const key = instanceKey(owner, name, each.replica);
      const able = plan.nodesFor(each.service, nodes, has);
      const rank = able.indexOf(node);
      if (able[0] !== undefined) took(able[0], owner, name);
      if (rank < 0) continue;
      wanted.add(key);
      if (!this.#sinceMs.has(key)) this.#sinceMs.set(key, nowMs);
      if (nowMs - this.#sinceMs.get(key)! >= rank * BID_MS) due.push(each);
    }
    for (const key of this.#sinceMs.keys()) if (!wanted.has(key)) this.#sinceMs.delete(key);
    return due;
  }
}
