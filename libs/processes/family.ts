// One parent: the children that run or that nobody waited for, and who waits. Pure, as home.ts is.

import type { Hold, Status } from './message.ts';

export type WaitResult =
  | { readonly child: bigint; readonly status: Status }
  /** It was stopped by this signal, or goes on (empty). */
  | { readonly child: bigint; readonly hold: string }
  /** Nothing to wait for: ECHILD; nothing yet: none. */
  | { readonly child: undefined; readonly none: boolean };

/** Which children: any, one, or those of a group. */
export type Which = { readonly pid: bigint } | { readonly group: bigint } | 'any';

export interface Child {
  /** 0: not known yet. */
  pid: bigint;
  /** Undefined: it is of the parent's node. */
  readonly token: bigint | undefined;
  readonly node: number;
  group: bigint;
  status: Status | undefined;
  /** The last change that was told; nobody waited for it yet where it is `untold`. */
  hold?: Hold;
  untold?: boolean;
}

/** What a wait is told of beside ends. */
export interface Changes {
  readonly stopped?: boolean;
  readonly continued?: boolean;
}

/** Of one wait: its answer, which is told once, and told again to whoever asks again. */
export interface Given {
  readonly waiter: number;
  readonly result: WaitResult;
}

export class Family {
  readonly children = new Set<Child>();
  /** Answers that may not have arrived. */
  readonly given = new Map<number, WaitResult>();
  readonly #waits = new Map<number, { which: Which; changes: Changes }>();

  /** @param settled waiters below this one have their answers. @returns the answer, where it is known by now */
  wait(
    waiter: number,
    which: Which,
    { hang, settled, ...changes }: { hang: boolean; settled: number } & Changes,
  ): WaitResult | undefined {
    for (const old of this.given.keys()) if (old < settled) this.given.delete(old);
    const given = this.given.get(waiter) ?? this.#answer(waiter, which, changes);
    if (given !== undefined) return given;
    if (!hang) return { child: undefined, none: true };
    this.#waits.set(waiter, { which, changes });
    return undefined;
  }

  cancel(waiter: number): void {
    this.#waits.delete(waiter);
  }

  /** Something changed: who has an answer by now. */
  look(): Given[] {
    const answers: Given[] = [];
    for (const [waiter, { which, changes }] of [...this.#waits]) {
      const result = this.#answer(waiter, which, changes);
      if (result === undefined) continue;
      this.#waits.delete(waiter);
      answers.push({ waiter, result });
    }
    return answers;
  }

  /** Undefined: not yet. A child that is waited for is one no more. */
  #answer(waiter: number, which: Which, { stopped, continued }: Changes): WaitResult | undefined {
    const meant = [...this.children].filter((child) => isMeant(child, which));
    const ended = meant.find(({ status, pid }) => status !== undefined && pid !== 0n);
    if (ended?.status !== undefined) {
      const result = { child: ended.pid, status: ended.status };
      this.children.delete(ended);
      this.given.set(waiter, result);
      return result;
    }
    const held = meant.find(
      ({ untold, hold, pid }) => untold && pid !== 0n && (hold?.signal === '' ? continued : stopped),
    );
    if (held?.hold !== undefined) {
      const result = { child: held.pid, hold: held.hold.signal };
      held.untold = false;
      this.given.set(waiter, result);
      return result;
    }
    return meant.length > 0 ? undefined : { child: undefined, none: false };
  }
}

function isMeant(child: Child, which: Which): boolean {
  if (which === 'any') return true;
  return 'pid' in which ? child.pid === which.pid : child.group === which.group;
}
