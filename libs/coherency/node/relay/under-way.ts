// Requests that the directory has not answered.
import type { HolderEventInit } from '../lines/holder-wire.ts';

export interface UnderWay {
  session: number;
  /** The virtual kernel's number for it. */
  request: bigint;
  event: HolderEventInit;
  owner: bigint;
  dataspace: bigint;
  /** A wait that sleeps. */
  registered: boolean;
  /** It was said more than once. */
  repeated: boolean;
}

/** Requests of one virtual kernel. */
export const UNDER_WAY_MAX = 100_000;

export class RequestsUnderWay {
  private readonly byId = new Map<bigint, UnderWay>();
  private readonly byVkernelRequest = new Map<string, bigint>();
  private readonly idsOfOwner = new Map<bigint, Set<bigint>>();
  private readonly idsOfSession = new Map<number, Set<bigint>>();

  get(id: bigint): UnderWay | undefined {
    return this.byId.get(id);
  }

  /** By the virtual kernel's number. */
  find(session: number, request: bigint): bigint | undefined {
    return this.byVkernelRequest.get(`${session} ${request}`);
  }

  isFull(session: number): boolean {
    return (this.idsOfSession.get(session)?.size ?? 0) >= UNDER_WAY_MAX;
  }

  add(id: bigint, asked: UnderWay): void {
    const { session, request, owner } = asked;
    this.byId.set(id, asked);
    this.byVkernelRequest.set(`${session} ${request}`, id);
    this.idsOfOwner.set(owner, (this.idsOfOwner.get(owner) ?? new Set()).add(id));
    this.idsOfSession.set(session, (this.idsOfSession.get(session) ?? new Set()).add(id));
  }

  remove(id: bigint): UnderWay | undefined {
    const asked = this.byId.get(id);
    if (asked === undefined) return undefined;
    const { session, request, owner } = asked;
    this.byId.delete(id);
    const key = `${session} ${request}`;
    if (this.byVkernelRequest.get(key) === id) this.byVkernelRequest.delete(key);
    removeFrom(this.idsOfOwner, owner, id);
    removeFrom(this.idsOfSession, session, id);
    return asked;
  }

  removeOwner(owner: bigint): void {
    for (const id of [...(this.idsOfOwner.get(owner) ?? [])]) this.remove(id);
  }

  removeSession(session: number): void {
    for (const id of [...(this.idsOfSession.get(session) ?? [])]) this.remove(id);
  }

  /** In the order of asking. */
  all(): [bigint, UnderWay][] {
    return [...this.byId];
  }
}

function removeFrom<K>(sets: Map<K, Set<bigint>>, key: K, id: bigint): void {
  const set = sets.get(key);
  set?.delete(id);
  if (set?.size === 0) sets.delete(key);
}
