// What one node does about services: it renews its lease, claims instances that nobody has, runs what it claimed, and calls the leases
// of silent nodes over. A pure machine: events in, actions out; no clock, no chance, no socket. There is no leader: each record is
// changed by compare-and-set on its revision, so of several nodes that decide the same one does it.
//
// The caller's duties:
//   1. `swap` is carried out by compare-and-set, once; its answer is `stored`, `refused` (it is not stored, and never will be), or
//      `doubted` (nobody knows: it may be stored later yet).
//   2. After `lease`, each virtual kernel of an instance ends by itself at that time of the node's clock, whoever is dead by then.
//      `start` begins none without the last such time.
//   3. `stop` answers `stopped` once nothing of it runs. All that ran here before this machine was made is `found`.
//   4. `ask` answers `fenced` only where the coherency directory has that node as a member no more.
import { Bids } from './bids.ts';
import { Instance, type Then } from './instance.ts';
import type { KeeperAction, KeeperEvent, Start } from './keeper-messages.ts';
import { KnownRecords } from './known-records.ts';
import { NodeLease } from './node-lease.ts';
import * as plan from './plan.ts';
import {
  type InstanceRecord,
  instanceKey,
  type NodeRecord,
  nodeKey,
  type ServiceRecord,
  type StoredRecord,
  serviceKey,
} from './record.ts';
import { ASK_MS, FRESH_MS, LEAVE_GRACE_MS, TAKE_MS } from './times.ts';

export class Keeper {
  readonly node: string;
  protected readonly lease = new NodeLease();
  protected readonly here = new Map<string, Instance>();
  readonly #records = new KnownRecords();
  /** Runs since before this life, by its pid; empty: nobody knows which. */
  readonly #found: Map<string, string>;
  readonly #bids = new Bids();
  readonly #askedMs = new Map<string, number>();
  #viewed = false;
  #leaving = false;
  #actions: KeeperAction[] = [];

  constructor(node: string, found: ReadonlyMap<string, string> = new Map()) {
    this.node = node;
    this.#found = new Map(found);
  }

  /** It may run instances, by that clock. */
  isHeld(nowMs: number): boolean {
    return this.lease.isHeld(nowMs);
  }

  /** Nothing of it is left to do before it may go. */
  get hasLeft(): boolean {
    return this.#leaving && this.here.size === 0 && this.lease.epoch === 0;
  }

  get instances(): readonly Instance[] {
    return [...this.here.values()];
  }

  /** @param nowMs of the node's monotonic clock; never less than before */
  step(event: KeeperEvent, nowMs: number): KeeperAction[] {
    this.#take(event, nowMs);
    this.#keepLease(nowMs);
    if (this.lease.isHeld(nowMs) && this.#viewed) {
      this.#takeOver(nowMs);
      this.#tend(nowMs);
      if (!this.#leaving) this.#claim(nowMs);
    }
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  protected readonly look = this.#records.look;

  #take(event: KeeperEvent, nowMs: number): void {
    switch (event.type) {
      case 'view':
        this.#viewed = true;
        this.#records.see(event.revision, event.entries, nowMs);
        return;
      case 'stored': {
        const pending = this.#records.answered(event.key);
        if (pending === undefined) return;
        this.#records.keep(event.key, event.revision, pending.value, nowMs);
        this.#stored(event.key, pending.value, nowMs);
        return;
      }
      case 'refused':
      case 'doubted':
        this.#records.answered(event.key);
        return;
      case 'began':
        this.#began(event.key, event.pid, nowMs);
        return;
      case 'ended': {
        const one = this.here.get(event.key);
        if (one === undefined || (one.phase !== 'running' && one.phase !== 'starting')) return;
        this.#stop(one, one.ended(event.code, event.reason, nowMs), 0, event.reason);
        return;
      }
      case 'checked': {
        const one = this.here.get(event.key);
        const why = one?.checked(event.ok, nowMs);
        if (why !== undefined) this.#stop(one!, one!.ended(1, why, nowMs), one!.spec.stopGraceMs, why);
        return;
      }
      case 'stopped':
        this.#stopped(event.key, nowMs);
        return;
      case 'fenced':
        this.#fenced(event.node, event.revision, nowMs);
        return;
      case 'leave':
        this.#leaving = true;
        for (const one of this.here.values())
          this.#stop(one, 'lost', Math.min(one.spec.stopGraceMs, LEAVE_GRACE_MS), 'its node stops');
        return;
      case 'tick':
        return;
    }
  }

  #swap(key: string, value: StoredRecord | undefined): void {
    const action = this.#records.swap(key, value);
    if (action !== undefined) this.#actions.push(action);
  }

  #stored(key: string, value: StoredRecord | undefined, nowMs: number): void {
    const one = this.here.get(key);
    if (one?.phase === 'over' || one?.phase === 'gone') this.here.delete(key);
    if (key !== nodeKey(this.node)) return;
    const { epoch, deposed } = value as NodeRecord;
    if (deposed) this.lease.lost();
    else {
      const untilMs = this.lease.renewed(epoch);
      if (this.lease.isHeld(nowMs)) this.#actions.push({ do: 'lease', untilMs });
    }
  }

  // ---- the lease of this node

  #keepLease(nowMs: number): void {
    const key = nodeKey(this.node);
    const record = this.look(key) as NodeRecord | undefined;
    if (this.lease.epoch !== 0) {
      const taken = record !== undefined && (record.deposed || record.epoch !== this.lease.epoch);
      if (!this.lease.isHeld(nowMs) || (taken && !this.#records.isPending(key))) this.loseLease();
      else if (this.#leaving && this.here.size === 0)
        this.#swap(key, { ...record!, epoch: this.lease.epoch + 1, deposed: true });
      else if (this.lease.isDue(nowMs) && !this.#records.isPending(key) && !this.#isIdle())
        this.#renew(this.lease.epoch, nowMs);
      return;
    }
    if (this.#isIdle()) return;
    if (!this.#viewed || this.#leaving || this.#records.isPending(key) || !this.lease.isDue(nowMs)) return;
    // What an earlier life of ours runs is under its lease, which nobody has called over.
    if (this.#found.size > 0 && record !== undefined && !record.deposed) {
      this.#renew(record.epoch, nowMs);
      return;
    }
    for (const found of this.#found.keys())
      this.#actions.push({ do: 'stop', key: found, graceMs: 0, why: 'its lease is over' });
    // A greater epoch says that nothing runs under the one before.
    if (this.mayBeginAnew()) this.#renew((record?.epoch ?? 0) + 1, nowMs);
  }

  /** There is nothing to run: a lease that nobody needs ends by itself, and costs nothing. */
  #isIdle(): boolean {
    if (this.here.size > 0 || this.#found.size > 0) return false;
    return (
      this.#records.of('service').next().done === true && this.#records.of('instance').next().done === true
    );
  }

  protected mayBeginAnew(): boolean {
    return this.here.size === 0 && this.#found.size === 0;
  }

  #renew(epoch: number, nowMs: number): void {
    const beat = this.lease.asked(nowMs);
    this.#swap(nodeKey(this.node), { kind: 'node', node: this.node, epoch, deposed: false, beat });
  }

  protected loseLease(): void {
    this.lease.lost();
    for (const one of this.here.values()) this.#stop(one, 'lost', 0, 'its node cannot renew its lease');
    for (const key of this.#found.keys())
      this.#actions.push({ do: 'stop', key, graceMs: 0, why: 'its node cannot renew its lease' });
  }

  // ---- leases of others

  #takeOver(nowMs: number): void {
    const concerned = new Set<string>();
    for (const { value } of this.#records.of('instance'))
      if (value.node !== '' && value.node !== this.node) concerned.add(value.node);
    for (const node of concerned) {
      const kept = this.#records.get(nodeKey(node));
      const lease = kept?.value as NodeRecord | undefined;
      if (lease === undefined || lease.deposed || !this.isSilent(nowMs - kept!.sinceMs)) continue;
      if (nowMs - (this.#askedMs.get(node) ?? Number.NEGATIVE_INFINITY) < ASK_MS) continue;
      this.#askedMs.set(node, nowMs);
      this.#actions.push({ do: 'ask', node, revision: kept!.revision });
    }
  }

  protected isSilent(forMs: number): boolean {
    return forMs >= TAKE_MS;
  }

  #fenced(node: string, revision: number, nowMs: number): void {
    const key = nodeKey(node);
    const kept = this.#records.get(key);
    const lease = kept?.value as NodeRecord | undefined;
    if (kept?.revision !== revision || lease === undefined || lease.deposed) return;
    if (!this.lease.isHeld(nowMs) || !this.isSilent(nowMs - kept.sinceMs)) return;
    this.#swap(key, { ...lease, epoch: lease.epoch + 1, deposed: true });
    this.#tell('node-taken', key, `${node} is silent and fenced: its services are to run elsewhere`);
  }

  // ---- what is ours

  #tend(nowMs: number): void {
    for (const service of this.#services()) {
      if (service.removed) this.#forget(service);
      for (let replica = 0; replica < service.replicas && !service.removed; replica++) {
        const key = instanceKey(service.owner, service.name, replica);
        const record = this.#records.value(key) as InstanceRecord | undefined;
        if (
          record !== undefined &&
          this.#isOurs(record) &&
          !this.here.has(key) &&
          !this.#records.isPending(key)
        )
          this.#beginOrAdopt(service, record, nowMs);
      }
    }
    // What nobody claims for us any more.
    for (const key of this.#found.keys())
      this.#actions.push({ do: 'stop', key, graceMs: 0, why: 'nobody wants it' });
    for (const one of this.here.values()) this.#tendOne(one, nowMs);
    for (const { key, value } of this.#records.of('instance'))
      if (!this.here.has(key) && !this.#isWanted(value)) {
        if (plan.isFree(this.look, value) || this.#isOurs(value)) this.#swap(key, undefined);
      }
  }

  #isOurs({ node, epoch }: InstanceRecord): boolean {
    return node === this.node && epoch === this.lease.epoch;
  }

  #serviceOf({ owner, service }: InstanceRecord): ServiceRecord | undefined {
    return this.#records.value(serviceKey(owner, service)) as ServiceRecord | undefined;
  }

  #isWanted(record: InstanceRecord): boolean {
    const service = this.#serviceOf(record);
    return service !== undefined && !service.removed && record.replica < service.replicas;
  }

  #beginOrAdopt(service: ServiceRecord, record: InstanceRecord, nowMs: number): void {
    const key = instanceKey(record.owner, record.service, record.replica);
    const spec = plan.specOf(service, record.generation);
    const one = new Instance(key, record, spec);
    this.here.set(key, one);
    const pid = this.#found.get(key);
    this.#found.delete(key);
    const start = { key, service, replica: record.replica, spec };
    if (pid !== undefined && pid !== '' && pid === record.pid) {
      one.began(pid, nowMs);
      one.isHealthy ||= record.state === 'healthy';
      this.#actions.push({ do: 'adopt', pid, ...start });
    } else if (pid !== undefined || record.pid !== '') {
      const why = 'it ended while vkerneld was away';
      one.phase = 'running';
      this.#stop(one, one.ended(1, why, nowMs), 0, why);
    } else this.begin(one, start);
  }

  protected begin(one: Instance, start: Start): void {
    one.begin();
    this.#actions.push({ do: 'start', ...start });
  }

  #tendOne(one: Instance, nowMs: number): void {
    const record = this.#records.value(one.key) as InstanceRecord | undefined;
    if (record === undefined || !this.#isOurs(record)) {
      if (!this.#records.isPending(one.key)) this.#stop(one, 'lost', 0, 'another node has it');
      return;
    }
    one.settle(nowMs);
    const service = this.#serviceOf(record);
    if (service === undefined || !this.#isWanted(record))
      this.#stop(one, 'drop', one.spec.stopGraceMs, 'nobody wants it any more');
    else if (one.generation < service.generation && this.mayUpdate(service, record.replica))
      this.#stop(one, 'update', one.spec.stopGraceMs, 'a rollout');
    else if (one.phase === 'backoff' && nowMs >= one.untilMs)
      this.begin(one, { key: one.key, service, replica: record.replica, spec: one.spec });
    this.#write(one, record);
  }

  protected mayUpdate(service: ServiceRecord, replica: number): boolean {
    return plan.mayUpdate(this.look, service, replica);
  }

  /** Its record is as it is. */
  #write(one: Instance, record: InstanceRecord): void {
    if (this.#records.isPending(one.key)) return;
    if (one.phase === 'gone') {
      this.#swap(one.key, undefined);
      return;
    }
    const { generation, state, pid, lastPid, restarts, code, reason, moves } = one;
    const node = one.phase === 'over' ? '' : this.node;
    const next = { ...record, node, generation, state, pid, lastPid, restarts, code, reason, moves };
    if (Object.entries(next).some(([name, value]) => record[name as keyof InstanceRecord] !== value))
      this.#swap(one.key, next);
  }

  #began(key: string, pid: string, nowMs: number): void {
    const one = this.here.get(key);
    if (one?.phase !== 'starting') return;
    one.began(pid, nowMs);
    this.#tell('instance-started', key, `${shown(key)} runs on ${this.node} as process ${pid}`);
  }

  #stop(one: Instance, then: Then, graceMs: number, why: string): void {
    if (one.phase === 'over' || one.phase === 'gone') {
      if (then === 'lost') this.here.delete(one.key);
      return;
    }
    if (one.phase === 'stopping') {
      // What is worse for it holds; and it is ended at once where the lease is over.
      if (then === 'lost' && one.after !== 'lost')
        this.#actions.push({ do: 'stop', key: one.key, graceMs: 0, why });
      if (then === 'lost' || (then === 'drop' && one.after !== 'lost')) one.after = then;
      return;
    }
    const runs = one.phase !== 'backoff';
    one.phase = 'stopping';
    one.after = then;
    this.#actions.push({ do: 'stop', key: one.key, graceMs, why });
    if (runs) this.#tell('instance-ended', one.key, `${shown(one.key)} on ${this.node} ends: ${why}`);
  }

  #stopped(key: string, nowMs: number): void {
    this.#found.delete(key);
    const one = this.here.get(key);
    if (one?.phase !== 'stopping') return;
    switch (one.after) {
      case 'backoff':
        one.rest(nowMs + one.delayMs);
        return;
      case 'over':
        one.phase = 'over';
        return;
      case 'drop':
        one.phase = 'gone';
        return;
      case 'lost':
        this.here.delete(key);
        return;
      case 'update': {
        const record = this.#records.value(key) as InstanceRecord;
        const service = record && this.#serviceOf(record);
        // It may have changed once more meanwhile: then the turn is another one's.
        if (service !== undefined && this.mayUpdate(service, record.replica))
          one.update(service.generation, service.spec);
        one.rest(nowMs);
        return;
      }
    }
  }

  #forget(service: ServiceRecord): void {
    const { owner, name } = service;
    const left = [...this.#records.of('instance')].some(
      ({ value }) => value.owner === owner && value.service === name,
    );
    if (!left) this.#swap(serviceKey(owner, name), undefined);
  }

  #services(): ServiceRecord[] {
    return [...this.#records.of('service')].map(({ value }) => value);
  }

  // ---- what nobody has

  #claim(nowMs: number): void {
    const wanted = this.#services().flatMap((service) =>
      Array.from({ length: service.removed ? 0 : service.replicas }, (_, replica) => ({ service, replica })),
    );
    const open = wanted.filter(({ service, replica }) => {
      const key = instanceKey(service.owner, service.name, replica);
      return !this.here.has(key) && !this.#records.isPending(key) && this.#isOpen(service, replica);
    });
    const nodes = this.#freshNodes(nowMs);
    for (const { service, replica } of this.#bids.due(open, {
      node: this.node,
      nodes,
      records: this.#records,
      nowMs,
    }))
      this.#claimOne(service, replica, instanceKey(service.owner, service.name, replica));
  }

  /** Whether it may be claimed. */
  #isOpen(service: ServiceRecord, replica: number): boolean {
    const record = plan.instanceOf(this.look, service.owner, service.name, replica);
    if (record !== undefined && !this.isFree(record)) return false;
    if (record !== undefined && plan.isOver(record)) {
      if (record.generation >= service.generation || !this.mayUpdate(service, replica)) return false;
    }
    return this.isReady(service);
  }

  protected isFree(record: InstanceRecord): boolean {
    return plan.isFree(this.look, record);
  }

  protected isReady(service: ServiceRecord): boolean {
    return plan.waitsFor(this.look, service).length === 0;
  }

  #claimOne(service: ServiceRecord, replica: number, key: string): void {
    const { owner, name } = service;
    const before = plan.instanceOf(this.look, owner, name, replica);
    const generation = plan.generationFor(this.look, service, replica);
    const moved = before !== undefined && !plan.isOver(before) && before.node !== this.node;
    const same = before?.generation === generation;
    this.#swap(key, {
      ...{ kind: 'instance', owner, service: name, replica, node: this.node, epoch: this.lease.epoch },
      ...{ generation, state: 'starting', pid: '', code: 0, reason: '' },
      restarts: same ? before.restarts : 0,
      lastPid: same ? before.pid || before.lastPid : '',
      moves: (before?.moves ?? 0) + (moved ? 1 : 0),
    });
    if (moved) this.#tell('instance-moved', key, `${shown(key)} moves from ${before.node} to ${this.node}`);
  }

  #freshNodes(nowMs: number): string[] {
    const nodes = [this.node];
    for (const { value, sinceMs } of this.#records.of('node'))
      if (value.node !== this.node && !value.deposed && nowMs - sinceMs < FRESH_MS) nodes.push(value.node);
    return nodes;
  }

  #tell(kind: Extract<KeeperAction, { do: 'tell' }>['kind'], key: string, text: string): void {
    this.#actions.push({ do: 'tell', kind, key, text });
  }
}

/** `service web.0 of alice` */
function shown(key: string): string {
  const [, owner, name, replica] = key.split('/');
  return `service ${name}.${replica} of ${owner}`;
}
