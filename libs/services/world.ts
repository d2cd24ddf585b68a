// Several keepers, the store between them, and what really runs, for tests: requests and answers that are lost or late, nodes that are
// cut off, supervisors that are killed while their virtual kernels live, nodes that die, clocks of different rates.
import { ok as assert } from 'node:assert/strict';
import { Keeper } from './keeper.ts';
import type { KeeperAction, KeeperEvent } from './keeper-messages.ts';
import type { Entry } from './known-records.ts';
import { previousOf } from './plan.ts';
import {
  type InstanceRecord,
  instanceKey,
  PREVIOUS_MAX,
  type ServiceRecord,
  type ServiceSpec,
  type StoredRecord,
  serviceKey,
} from './record.ts';

export type MakeKeeper = (node: string, found: ReadonlyMap<string, string>) => Keeper;
export const shipped: MakeKeeper = (node, found) => new Keeper(node, found);

const STEP_MS = 250;
/** A virtual kernel takes its time to end. */
const STOP_MS = 1_500;
/** Silent for so long, the directory has it as a member no more. */
const FENCED_MS = 3_000;

interface Guest {
  readonly pid: string;
  readonly spec: ServiceSpec;
  readonly service: string;
  alarmMs: number;
  /** Its stop is under way. */
  stopping: number | undefined;
  began: boolean;
}
interface Node {
  readonly name: string;
  readonly rate: number;
  keeper: Keeper | undefined;
  readonly guests: Map<string, Guest>;
  cutSinceMs: number | undefined;
  isDead: boolean;
  deadSinceMs: number;
  untilMs: number;
  /** Of this life of its keeper. */
  sinceMs: number;
}
interface Late {
  atMs: number;
  run(): void;
}
export interface Step {
  readonly op:
    | 'pass'
    | 'cut'
    | 'mend'
    | 'kill'
    | 'die'
    | 'revive'
    | 'crash'
    | 'apply'
    | 'bad'
    | 'scale'
    | 'remove'
    | 'sick';
  readonly a: number;
  readonly b: number;
}

const SERVICES = ['one', 'many', 'after'] as const;
export const baseSpec: ServiceSpec = {
  program: { name: 'p', digest: '', bytes: 1 },
  ...{
    command: [],
    environment: [],
    dirs: [],
    listen: [],
    connect: [],
    listenOn: [],
    nodes: [],
    dependsOn: [],
  },
  quota: {
    memoryBytes: 0,
    cpuWeight: 0,
    cpuMillis: 0,
    processes: 0,
    dataspaces: 0,
    diskBytes: 0,
    descriptors: 0,
  },
  ...{ restart: 'always', restartMax: 6, restartDelayMs: 500, restartDelayMaxMs: 8_000 },
  ...{ maxPerNode: 0, stopGraceMs: 500 },
};
const BAD = 'bad';

export class World {
  nowMs = 0;
  readonly nodes: Node[];
  readonly #make: MakeKeeper;
  #store = new Map<string, { revision: number; value: StoredRecord }>();
  #revision = 0;
  #late: Late[] = [];
  #lastPid = 0;
  #calm = false;
  #luck: () => number;
  /** Records of which a change came late: who changed the service meanwhile did not know it. */
  readonly #wasLate = new Set<string>();
  readonly #starts = new Map<string, number[]>();

  constructor(names: number, luck: () => number, make: MakeKeeper = shipped) {
    this.#make = make;
    this.#luck = luck;
    this.nodes = Array.from({ length: names }, (_, i) => ({
      ...{ name: `node${i + 1}`, rate: [0.92, 1, 1.08][i % 3]!, keeper: undefined, guests: new Map() },
      ...{ cutSinceMs: undefined, isDead: false, deadSinceMs: 0, untilMs: 0, sinceMs: 0 },
    }));
    for (const node of this.nodes) this.#revive(node);
  }

  step({ op, a, b }: Step): void {
    const node = this.nodes[a % this.nodes.length]!;
    const name = SERVICES[b % SERVICES.length]!;
    switch (op) {
      case 'pass':
        for (let i = 0; i <= a % 12; i++) this.#pass();
        return;
      case 'cut':
        node.cutSinceMs ??= this.nowMs;
        return;
      case 'mend':
        node.cutSinceMs = undefined;
        return;
      case 'kill':
        node.keeper = undefined;
        return;
      case 'die':
        node.keeper = undefined;
        node.guests.clear();
        if (!node.isDead) node.deadSinceMs = this.nowMs;
        node.isDead = true;
        return;
      case 'revive':
        if (node.keeper === undefined) this.#revive(node);
        return;
      case 'crash':
        for (const [key, guest] of node.guests) {
          if (b % 2 === 0) this.#event(node, { type: 'ended', key, code: 1, reason: 'crash' });
          else {
            this.#gone(node, key, guest);
          }
          if (guest.began) return;
        }
        return;
      case 'sick':
        for (const key of node.guests.keys()) this.#event(node, { type: 'checked', key, ok: false });
        return;
      case 'apply':
      case 'bad':
        this.#apply(name, { bad: op === 'bad', replicas: undefined });
        return;
      case 'scale':
        if (name !== 'one') this.#apply(name, { bad: undefined, replicas: 1 + (a % 4) });
        return;
      case 'remove':
        this.#remove(name);
        return;
    }
  }

  /** All is well from now on: what is wanted runs, once, and nothing else. */
  settle(): void {
    this.#calm = true;
    for (const node of this.nodes) {
      node.cutSinceMs = undefined;
      if (node.keeper === undefined) this.#revive(node);
    }
    // What was removed goes first: it is wanted again then.
    for (let i = 0; i < 30_000 / STEP_MS; i++) this.#pass();
    for (const name of SERVICES) this.#apply(name, { bad: false, replicas: undefined });
    for (let i = 0; i < 75_000 / STEP_MS; i++) this.#pass();
    for (const [key, { value }] of this.#store) {
      if (value.kind !== 'service') continue;
      for (let replica = 0; replica < value.replicas; replica++) {
        const each = instanceKey(value.owner, value.name, replica);
        const running = this.nodes.filter(({ guests }) => guests.has(each));
        const record = this.#store.get(each)?.value as InstanceRecord | undefined;
        const said = JSON.stringify(record);
        assert(running.length === 1, `${each} of ${key} runs ${running.length} times at last: ${said}`);
        assert(record?.state === 'healthy' && record.generation === value.generation, `${each}: ${said}`);
      }
    }
    for (const node of this.nodes)
      for (const key of node.guests.keys()) assert(this.#store.has(key), `${key} runs, and is not wanted`);
    for (const [key, { value }] of this.#store)
      if (value.kind === 'instance') {
        const service = this.#service(value.service);
        assert(service !== undefined && value.replica < service.replicas, `${key} is left`);
      }
  }

  #service(name: string): ServiceRecord | undefined {
    return this.#store.get(serviceKey('o', name))?.value as ServiceRecord | undefined;
  }

  #apply(name: string, { bad, replicas }: { bad: boolean | undefined; replicas: number | undefined }): void {
    const key = serviceKey('o', name);
    const before = this.#service(name);
    if (before?.removed) return;
    const isBad = bad ?? before?.spec.program.name === BAD;
    const spec: ServiceSpec = {
      ...baseSpec,
      program: { name: isBad ? BAD : 'good', digest: '', bytes: 1 },
      ...(name === 'after' && { dependsOn: [{ service: 'one', condition: 'healthy' as const }] }),
      ...(name === 'many' && {
        health: {
          program: baseSpec.program,
          args: [],
          intervalMs: 1,
          timeoutMs: 1,
          retries: 2,
          startPeriodMs: 0,
        },
      }),
    };
    const previous = before === undefined ? [] : previousOf((each) => this.#store.get(each)?.value, before);
    if (previous.length > PREVIOUS_MAX) return;
    const generation = bad === undefined && before ? before.generation : this.nowMs + ++this.#revision;
    this.#put(key, {
      ...{ kind: 'service', owner: 'o', groups: [], name, generation, spec, removed: false },
      previous: before === undefined ? [] : before.generation === generation ? before.previous : previous,
      replicas: replicas ?? before?.replicas ?? (name === 'one' ? 1 : 3),
    });
  }

  #remove(name: string): void {
    const before = this.#service(name);
    if (before !== undefined) this.#put(serviceKey('o', name), { ...before, removed: true });
  }

  #put(key: string, value: StoredRecord): void {
    this.#store.set(key, { revision: ++this.#revision, value });
  }

  #revive(node: Node): void {
    node.isDead = false;
    node.sinceMs = this.nowMs;
    node.untilMs = 0;
    const found = new Map([...node.guests].map(([key, guest]) => [key, guest.began ? guest.pid : '']));
    node.keeper = this.#make(node.name, found);
  }

  #gone(node: Node, key: string, { stopping }: Guest): void {
    node.guests.delete(key);
    if (stopping !== undefined) this.#event(node, { type: 'stopped', key });
    else this.#event(node, { type: 'ended', key, code: 137, reason: 'killed' });
  }

  #clock = (node: Node): number => Math.floor(this.nowMs * node.rate);

  #pass(): void {
    this.nowMs += STEP_MS;
    for (const node of this.nodes) {
      for (const [key, guest] of node.guests) {
        if (this.#clock(node) < guest.alarmMs) continue;
        const forgot =
          node.keeper !== undefined && guest.stopping === undefined && this.nowMs - node.sinceMs > 10_000;
        assert(!forgot, `the alarm of ${key} on ${node.name}: its supervisor is there, and forgot it`);
        this.#gone(node, key, guest);
      }
    }
    const due = this.#late.filter(({ atMs }) => atMs <= this.nowMs);
    this.#late = this.#late.filter(({ atMs }) => atMs > this.nowMs);
    for (const { run } of due) run();
    for (const node of this.nodes) {
      this.#tend(node);
      if (node.keeper === undefined) continue;
      const seen = node.cutSinceMs === undefined && (this.#calm || this.#luck() % 4 !== 0);
      if (seen) this.#event(node, this.#view());
      else this.#event(node, { type: 'tick' });
    }
    this.#check();
  }

  /** What programs do by themselves. */
  #tend(node: Node): void {
    for (const [key, guest] of node.guests) {
      if (guest.stopping !== undefined && guest.stopping <= this.nowMs) {
        node.guests.delete(key);
        this.#event(node, { type: 'stopped', key });
      } else if (!guest.began && (this.#calm || this.#luck() % 3 !== 0)) {
        guest.began = true;
        this.#event(node, { type: 'began', key, pid: guest.pid });
      } else if (guest.began && guest.spec.program.name === BAD)
        this.#event(node, { type: 'ended', key, code: 1, reason: 'bad' });
      else if (guest.began) this.#event(node, { type: 'checked', key, ok: true });
    }
  }

  #view(): KeeperEvent {
    const entries: Entry[] = [...this.#store].map(([key, kept]) => ({ key, ...kept }));
    return { type: 'view', revision: this.#revision, entries };
  }

  #event(node: Node, event: KeeperEvent): void {
    const { keeper } = node;
    if (keeper === undefined) return;
    for (const action of keeper.step(event, this.#clock(node))) this.#perform(node, keeper, action);
  }

  #perform(node: Node, keeper: Keeper, action: KeeperAction): void {
    const answer = (event: KeeperEvent) => {
      if (node.keeper === keeper) this.#event(node, event);
    };
    switch (action.do) {
      case 'swap':
        this.#swap(node, action, answer);
        return;
      case 'lease':
        node.untilMs = action.untilMs;
        for (const guest of node.guests.values()) guest.alarmMs = action.untilMs;
        return;
      case 'start': {
        assert(this.#clock(node) < node.untilMs, `${action.key} starts on ${node.name} without a lease`);
        assert(!node.guests.has(action.key), `${action.key} starts on ${node.name}, where it runs`);
        this.#expectStart(action.key, action.service, action.spec);
        node.guests.set(action.key, {
          ...{ pid: String(++this.#lastPid), spec: action.spec, service: action.service.name },
          ...{ alarmMs: node.untilMs, stopping: undefined, began: false },
        });
        return;
      }
      case 'stop': {
        const guest = node.guests.get(action.key);
        const atMs = this.nowMs + Math.min(action.graceMs, 500) + STOP_MS;
        if (guest !== undefined) guest.stopping = Math.min(guest.stopping ?? atMs, atMs);
        else this.#late.push({ atMs: this.nowMs, run: () => answer({ type: 'stopped', key: action.key }) });
        return;
      }
      case 'ask': {
        const other = this.nodes.find(({ name }) => name === action.node)!;
        const sinceMs = other.isDead ? other.deadSinceMs : other.cutSinceMs;
        if (node.cutSinceMs === undefined && sinceMs !== undefined && this.nowMs - sinceMs > FENCED_MS)
          answer({ type: 'fenced', node: action.node, revision: action.revision });
        return;
      }
      case 'adopt':
        if (node.guests.get(action.key)?.pid !== action.pid)
          this.#late.push({
            atMs: this.nowMs,
            run: () => answer({ type: 'ended', key: action.key, code: 137, reason: 'it had ended' }),
          });
        return;
      case 'tell':
        return;
    }
  }

  #swap(
    node: Node,
    { key, value, revision }: Extract<KeeperAction, { do: 'swap' }>,
    answer: (event: KeeperEvent) => void,
  ): void {
    const store = (): KeeperEvent => {
      const kept = this.#store.get(key);
      if ((kept?.revision ?? 0) !== revision) {
        // A deletion leaves a revision that only its maker knows: it may create anew by it.
        if (kept !== undefined || value === undefined) return { type: 'refused', key };
      }
      if (value === undefined) {
        this.#store.delete(key);
        this.#revision += 1;
      } else this.#put(key, value);
      return { type: 'stored', key, revision: this.#revision };
    };
    const luck = this.#calm ? 3 : this.#luck() % 12;
    if (luck < 3 || node.cutSinceMs !== undefined) this.#wasLate.add(key);
    const later = (atMs: number, run: () => void) => this.#late.push({ atMs: this.nowMs + atMs, run });
    if (node.cutSinceMs !== undefined || luck === 0) later(1_000, () => answer({ type: 'doubted', key }));
    else if (luck === 1) {
      // It arrives, and its answer does not.
      later(4_000, store);
      later(1_000, () => answer({ type: 'doubted', key }));
    } else if (luck === 2) {
      const said = store();
      later(4_000, () => answer(said));
    } else {
      const said = store();
      later(0, () => answer(said));
    }
  }

  #check(): void {
    const running = new Map<string, string>();
    const bad = new Map<string, number>();
    for (const { name, guests } of this.nodes)
      for (const [key, guest] of guests) {
        assert(!running.has(key), `${key} runs on ${running.get(key)} and ${name} at ${this.nowMs}`);
        running.set(key, name);
        if (guest.spec.program.name === BAD && guest.began)
          bad.set(guest.service, (bad.get(guest.service) ?? 0) + 1);
      }
  }

  #expectStart(key: string, service: ServiceRecord, spec: ServiceSpec): void {
    for (const on of spec.dependsOn) {
      const [first] = this.#starts.get(key) ?? [];
      if (first !== undefined) break;
      assert(this.#starts.has(instanceKey('o', on.service, 0)), `${key} starts before ${on.service}`);
    }
    const replica = Number(key.split('/').at(-1));
    const now = this.#service(service.name);
    if (
      spec.program.name === BAD &&
      spec === now?.spec &&
      replica > 0 &&
      now?.previous.at(-1)?.spec.program.name === 'good'
    ) {
      const before = this.#store.get(key)?.value as InstanceRecord | undefined;
      // A claim that was late may be of a generation that nobody kept.
      const known = now.previous.some(({ generation }) => generation === before?.generation);
      const turned =
        before === undefined || before.generation === now.generation || !known || this.#wasLate.has(key);
      assert(turned, `${key} is of a bad generation out of turn`);
    }
    const times = (this.#starts.get(key) ?? []).filter((atMs) => this.nowMs - atMs < 30_000);
    assert(times.length < 12, `${key} starts ${times.length + 1} times in 30 s`);
    this.#starts.set(key, [...times, this.nowMs]);
  }
}
