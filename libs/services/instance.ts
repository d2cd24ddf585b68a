// One instance on its node, from the claim to the end.
//
//     starting --began--> running --ended--> stopping --stopped--> backoff --its time--> starting
//          \__________________\___________________/      \--> over (ended, failed), dropped, lost, or begun anew as it is to be now
import type { InstanceRecord, ServiceSpec } from './record.ts';
import { SETTLE_MS, STEADY_MS } from './times.ts';

/** What follows once nothing runs of it: a new life, an end that is kept, its record goes, or nothing is said as it is not ours. */
export type Then = 'backoff' | 'over' | 'update' | 'drop' | 'lost';
export type Phase = 'starting' | 'running' | 'stopping' | 'backoff' | 'over' | 'gone';

export class Instance {
  readonly key: string;
  generation: number;
  spec: ServiceSpec;
  phase: Phase = 'starting';
  pid = '';
  /** Of the life before, which ended badly. */
  lastPid: string;
  restarts: number;
  code = 0;
  reason = '';
  moves: number;
  isHealthy = false;
  /** It is over, and not well. */
  hasFailed = false;
  after: Then = 'lost';
  untilMs = 0;
  #beganMs = 0;
  #unhealthy = 0;

  constructor(key: string, { generation, restarts, moves, lastPid }: InstanceRecord, spec: ServiceSpec) {
    this.key = key;
    this.generation = generation;
    this.restarts = restarts;
    this.moves = moves;
    this.lastPid = lastPid;
    this.spec = spec;
  }

  get state(): InstanceRecord['state'] {
    switch (this.phase) {
      case 'running':
        return this.isHealthy ? 'healthy' : 'running';
      case 'over':
      case 'gone':
        return this.hasFailed ? 'failed' : 'ended';
      default:
        return this.phase;
    }
  }

  began(pid: string, nowMs: number): void {
    this.phase = 'running';
    this.pid = pid;
    this.isHealthy = false;
    this.#beganMs = nowMs;
    this.#unhealthy = 0;
  }

  /** Without a check of its health it is well once it has run a while. */
  settle(nowMs: number): void {
    if (this.phase !== 'running' || this.spec.health !== undefined) return;
    if (nowMs - this.#beganMs >= SETTLE_MS) this.isHealthy = true;
  }

  /** @returns why it has to end, if it has */
  checked(ok: boolean, nowMs: number): string | undefined {
    const { health } = this.spec;
    if (this.phase !== 'running' || health === undefined) return undefined;
    if (ok) {
      this.isHealthy = true;
      this.#unhealthy = 0;
      return undefined;
    }
    if (!this.isHealthy && nowMs - this.#beganMs < health.startPeriodMs) return undefined;
    this.#unhealthy += 1;
    return this.#unhealthy < health.retries
      ? undefined
      : `its health check failed ${this.#unhealthy} ${this.#unhealthy === 1 ? 'time' : 'times'}`;
  }

  /** What is to follow such an end. */
  ended(code: number, reason: string, nowMs: number): Then {
    const { restart } = this.spec;
    this.code = code;
    this.reason = reason;
    if (this.phase === 'running' && nowMs - this.#beganMs >= STEADY_MS) this.restarts = 0;
    const well = code === 0;
    this.hasFailed = !well;
    if (restart === 'no' || (restart === 'on-failure' && well)) return 'over';
    if (!this.mayRestart()) {
      this.hasFailed = true;
      return 'over';
    }
    this.restarts += 1;
    return 'backoff';
  }

  mayRestart(): boolean {
    return this.restarts < this.spec.restartMax;
  }

  /** Twice as long each time. */
  get delayMs(): number {
    const { restartDelayMs, restartDelayMaxMs } = this.spec;
    return Math.min(restartDelayMaxMs, restartDelayMs * 2 ** Math.max(0, this.restarts - 1));
  }

  /** Until its next life. */
  rest(untilMs: number): void {
    this.phase = 'backoff';
    this.untilMs = untilMs;
    if (this.hasFailed && this.pid !== '') this.lastPid = this.pid;
    this.pid = '';
  }

  /** Its next life. */
  begin(): void {
    this.phase = 'starting';
    this.pid = '';
    this.isHealthy = false;
  }

  update(generation: number, spec: ServiceSpec): void {
    this.generation = generation;
    this.spec = spec;
    this.restarts = 0;
    this.lastPid = '';
    this.code = 0;
    this.reason = '';
    this.hasFailed = false;
  }
}
