// Things by name, of which several replicas make, change and remove some in one store that compares and sets: what is known of
// them here, and what is asked of the store. Pure: what the store answers comes as an event, late, or never.
//
//   ask ---> decide ---> write ---> written ------------------------> answered
//              ^                \--> refused ---> read ---> found --\
//              '------------------------ as it is now --------------'     TRIES_MAX times
//
// One request a name is under way; others wait for their turn. What the store tells unasked (`follow`) comes in the order of its
// revisions, and may lag behind what it answered: what is older than what is known undoes nothing.

/** Who meets others at one name more often than this gives up. */
export const TRIES_MAX = 10;
/** Requests for one name that wait. */
export const WAITING_MAX = 1_000;

export interface Named {
  /** The revision that made it. */
  id: bigint;
  name: string;
  owner: string;
}

export type New<R extends Named> = Omit<R, 'id'> & { owner: string };

export interface Making<R extends Named, A> {
  do: 'make';
  record: New<R>;
  /** @throws what whoever asked is told instead, now that it is stored */
  answer(record: R): A;
}

/** What becomes of the record that is known: one step, after which a request is done, or decides anew. */
export type NameStep<R extends Named, A> =
  | { do: 'answer'; answer: A }
  | Making<R, A>
  | { do: 'change'; record: R; answer(record: R): A }
  /** @param next made in its place */
  | { do: 'remove'; answer(): A; next?: Making<R, A> };

/** @throws what whoever asked is told */
export type Decide<R extends Named, A> = (known: R | undefined) => NameStep<R, A>;

export type NameWrite<R extends Named> =
  | { op: 'make'; record: New<R> }
  | { op: 'change'; record: R; revision: bigint }
  | { op: 'remove'; revision: bigint };

export type NameAction<R extends Named> =
  | { type: 'write'; request: number; name: string; write: NameWrite<R> }
  | { type: 'read'; request: number; name: string }
  | { type: 'answered'; request: number; answer: unknown }
  | { type: 'failed'; request: number; error: unknown }
  /** Others were faster each time, or too many wait. */
  | { type: 'crowded'; request: number; name: string }
  /** It is not known any more. */
  | { type: 'gone'; record: R };

/** As it is in the store; without a record: removed. */
export interface Found<R extends Named> {
  name: string;
  revision: bigint;
  record?: R | undefined;
}

interface Request<R extends Named> {
  id: number;
  name: string;
  decide: Decide<R, unknown>;
  tries: number;
  /** What it asks of the store just now. */
  step?: Exclude<NameStep<R, unknown>, { do: 'answer' }>;
  /** Of what it changes or removes. */
  before?: Entry<R>;
  /** Why the store refused that. */
  refusal?: unknown;
}

interface Entry<R> {
  record: R;
  revision: bigint;
}

export class NameTable<R extends Named> {
  protected readonly byName = new Map<string, Entry<R>>();
  private readonly ids = new Map<bigint, R>();
  /** How many each owns, with those that are being made. */
  private readonly owned = new Map<string, number>();
  /** Of each name: the first is under way. */
  private readonly queues = new Map<string, Request<R>[]>();
  private readonly requests = new Map<number, Request<R>>();
  /** Removed here, or found to be removed, where the store has not told yet all that was before. */
  private readonly removed = new Map<string, bigint>();
  private making = 0;
  private followed = 0n;
  private seen = 0n;
  private out: NameAction<R>[] = [];

  /** The newest revision that was seen; what is made later has a greater id. */
  get revision(): bigint {
    return this.seen;
  }

  /** With those that are being made. */
  get size(): number {
    return this.ids.size + this.making;
  }

  get(name: string): R | undefined {
    return this.byName.get(name)?.record;
  }

  byId(id: bigint): R | undefined {
    return this.ids.get(id);
  }

  values(): Iterable<R> {
    return this.ids.values();
  }

  ownedBy(owner: string): number {
    return this.owned.get(owner) ?? 0;
  }

  /** @param id of no other request */
  ask(id: number, name: string, decide: Decide<R, unknown>): NameAction<R>[] {
    const queue = this.queues.get(name) ?? [];
    if (queue.length > WAITING_MAX) return [{ type: 'crowded', request: id, name }];
    const request = { id, name, decide, tries: 0 };
    queue.push(request);
    this.queues.set(name, queue);
    this.requests.set(id, request);
    if (queue.length === 1) this.decide(request);
    return this.taken();
  }

  /** The store did what it was asked. @param revision of what is stored now; none for what was removed */
  written(id: number, revision = 0n): NameAction<R>[] {
    const request = this.requests.get(id);
    if (request?.step !== undefined) this.done(request, request.step, revision);
    return this.taken();
  }

  /** It did not, or gave no answer. */
  refused(id: number, error: unknown, isAnswer: boolean): NameAction<R>[] {
    const request = this.requests.get(id);
    if (request?.step === undefined) return [];
    if (request.step.do === 'make') this.notMade(request.step.record);
    // Where there is no answer there is none to a second question; what was changed nevertheless would be changed twice.
    if (request.step.do === 'make' && !isAnswer) this.fail(request, error);
    else {
      request.refusal = error;
      this.out.push({ type: 'read', request: id, name: request.name });
    }
    return this.taken();
  }

  /** What there is, after a refusal. */
  found(id: number, found: Found<R> | undefined): NameAction<R>[] {
    const request = this.requests.get(id);
    if (request?.refusal === undefined) return [];
    const { before, refusal } = request;
    const isSame = before === undefined ? found?.record === undefined : before.revision === found?.revision;
    if (found !== undefined) this.learn(found);
    if (isSame) this.fail(request, refusal);
    else this.decide(request);
    return this.taken();
  }

  notFound(id: number, error: unknown): NameAction<R>[] {
    const request = this.requests.get(id);
    if (request !== undefined) this.fail(request, error);
    return this.taken();
  }

  /** What the store tells unasked. */
  follow(found: Found<R>): NameAction<R>[] {
    const { name, revision } = found;
    if (revision > this.followed) this.followed = revision;
    this.take(found);
    const removed = this.removed.get(name);
    if (removed !== undefined && removed <= revision) this.removed.delete(name);
    return this.taken();
  }

  private taken(): NameAction<R>[] {
    const { out } = this;
    this.out = [];
    return out;
  }

  private decide(request: Request<R>): void {
    const { id, name } = request;
    delete request.step;
    delete request.refusal;
    delete request.before;
    if (request.tries++ === TRIES_MAX) {
      this.end(request, { type: 'crowded', request: id, name });
      return;
    }
    const known = this.byName.get(name);
    this.tell(request, () => {
      const step = request.decide(known?.record);
      if (step.do === 'answer') return step;
      if (step.do === 'make') this.make(request, step);
      else if (known === undefined) throw new Error(`nothing is known of ${name}, and it is to ${step.do}`);
      else {
        const { revision } = known;
        request.step = step;
        request.before = known;
        const write: NameWrite<R> =
          step.do === 'change' ? { op: 'change', record: step.record, revision } : { op: 'remove', revision };
        this.out.push({ type: 'write', request: id, name, write });
      }
      return undefined;
    });
  }

  private make(request: Request<R>, step: Making<R, unknown>): void {
    const { id, name } = request;
    request.step = step;
    delete request.before;
    this.making++;
    this.count(step.record.owner, 1);
    this.out.push({ type: 'write', request: id, name, write: { op: 'make', record: step.record } });
  }

  private notMade(record: New<R>): void {
    this.making--;
    this.count(record.owner, -1);
  }

  private done(request: Request<R>, step: NonNullable<Request<R>['step']>, revision: bigint): void {
    const { name, before } = request;
    delete request.step;
    if (step.do === 'remove') {
      this.removedHere(name, before!);
      if (step.next !== undefined) this.make(request, step.next);
      else this.tell(request, () => ({ answer: step.answer() }));
      return;
    }
    if (step.do === 'make') this.notMade(step.record);
    const record = step.do === 'make' ? ({ ...step.record, id: revision } as unknown as R) : step.record;
    this.learn({ name, revision, record });
    this.tell(request, () => ({ answer: step.answer(record) }));
  }

  protected removedHere(name: string, before: Entry<R>): void {
    if (this.byName.get(name)?.record.id === before.record.id) this.drop(before.record);
    if (this.followed < before.revision) this.removed.set(name, before.revision);
  }

  /** What was answered; the store has told it unasked by then, or tells it later. */
  private learn(found: Found<R>): void {
    if (!this.isTold(found)) this.take(found);
  }

  protected isTold({ revision }: Found<R>): boolean {
    return revision <= this.followed;
  }

  /** Unless something newer is known. */
  private take(found: Found<R>): void {
    const { name, revision, record } = found;
    if (revision > this.seen) this.seen = revision;
    if (this.isOld(found)) return;
    const known = this.byName.get(name)?.record;
    if (known !== undefined && known.id !== record?.id) this.drop(known);
    else if (known !== undefined) this.count(known.owner, -1);
    if (record === undefined) {
      if (revision > this.followed) this.foundRemoved(found);
      return;
    }
    this.count(record.owner, 1);
    this.byName.set(name, { record, revision });
    this.ids.set(record.id, record);
  }

  /** The store answered so before it told what led to it. */
  protected foundRemoved({ name, revision }: Found<R>): void {
    this.removed.set(name, revision);
  }

  protected isOld({ name, revision }: Found<R>): boolean {
    const known = this.byName.get(name)?.revision ?? 0n;
    return revision <= known || revision <= (this.removed.get(name) ?? 0n);
  }

  private drop(record: R): void {
    // As it is known here: it may have another owner by now.
    this.count((this.ids.get(record.id) ?? record).owner, -1);
    this.byName.delete(record.name);
    this.ids.delete(record.id);
    this.out.push({ type: 'gone', record });
  }

  private count(owner: string, more: number): void {
    const count = this.ownedBy(owner) + more;
    if (count > 0) this.owned.set(owner, count);
    else this.owned.delete(owner);
  }

  /** @param work undefined: it goes on */
  private tell(request: Request<R>, work: () => { answer: unknown } | undefined): void {
    let answered: { answer: unknown } | undefined;
    try {
      answered = work();
    } catch (error) {
      this.fail(request, error);
      return;
    }
    if (answered !== undefined)
      this.end(request, { type: 'answered', request: request.id, answer: answered.answer });
  }

  private fail(request: Request<R>, error: unknown): void {
    this.end(request, { type: 'failed', request: request.id, error });
  }

  private end(request: Request<R>, action: NameAction<R>): void {
    const { id, name } = request;
    this.out.push(action);
    this.requests.delete(id);
    const queue = this.queues.get(name)!;
    queue.shift();
    const next = queue[0];
    if (next === undefined) this.queues.delete(name);
    else this.decide(next);
  }
}
