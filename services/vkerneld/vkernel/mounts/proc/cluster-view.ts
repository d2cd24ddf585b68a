// What /proc knows of the cluster: asked of the supervisor, which asks all nodes. What many programs look at at once is asked once,
// and kept for a moment. Every wait ends: with an answer, with another supervisor, or with time.
import { type ClusterLooked, LookAt } from '@odonata/proto/vkernel/v1/vkernel';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Errno, WasiError } from '../../wasi/errno.ts';

/** Longer than the supervisor waits for nodes. */
const WAIT_MS = 10_000;
/** Who lists /proc and looks at each process there asks once. */
const KEPT_MS = 200;
/** Answers that are kept. */
const KEPT_MAX = 64;

/** The port of /proc: whoever else knows of processes may stand behind it. */
export interface ClusterView {
  /** By pid; those that have not ended. Fresh: not what was known a moment ago. */
  processes(how?: { fresh: boolean }): Promise<ClusterLooked['processes']>;
  vkernels(): Promise<ClusterLooked['vkernels']>;
  nodes(): Promise<ClusterLooked['nodes']>;
  /** Undefined: it is not there, or not the person's. */
  memoryOf(pid: bigint): Promise<ClusterLooked['vmspaces'][number] | undefined>;
}

export interface LookRequest {
  readonly number: number;
  readonly at: LookAt;
  readonly pid: bigint;
}

const keyOf = (at: LookAt, pid: bigint): string => `${at} ${pid}`;

export class SupervisorView implements ClusterView {
  readonly #send: (look: LookRequest) => void;
  readonly #waiting = new Map<number, (looked: ClusterLooked | number) => void>();
  readonly #kept = new Map<string, { atMs: number; looked: Promise<ClusterLooked> }>();
  #last = 0;

  constructor(send: (look: LookRequest) => void) {
    this.#send = send;
  }

  async processes({ fresh } = { fresh: false }): Promise<ClusterLooked['processes']> {
    if (fresh) this.#kept.delete(keyOf(LookAt.PROCESSES, 0n));
    const { processes } = await this.#look(LookAt.PROCESSES);
    return processes.filter(({ exit }) => exit === undefined);
  }

  async vkernels(): Promise<ClusterLooked['vkernels']> {
    return (await this.#look(LookAt.VKERNELS)).vkernels;
  }

  async nodes(): Promise<ClusterLooked['nodes']> {
    return (await this.#look(LookAt.NODES)).nodes;
  }

  async memoryOf(pid: bigint): Promise<ClusterLooked['vmspaces'][number] | undefined> {
    return (await this.#look(LookAt.MEMORY, pid)).vmspaces[0];
  }

  /** The supervisor's answer. */
  answered(looked: ClusterLooked): void {
    this.#waiting.get(looked.number)?.(looked.errno === Errno.success ? looked : looked.errno);
  }

  /** Another supervisor knows nothing of what the last one was asked. */
  onReattached(): void {
    for (const done of [...this.#waiting.values()]) done(Errno.io);
  }

  #look(at: LookAt, pid = 0n): Promise<ClusterLooked> {
    const key = keyOf(at, pid);
    const nowMs = performance.now();
    const known = this.#kept.get(key);
    if (known !== undefined && nowMs - known.atMs < KEPT_MS) return known.looked;
    const looked = this.#ask(at, pid);
    this.#kept.delete(key);
    this.#kept.set(key, { atMs: nowMs, looked });
    if (this.#kept.size > KEPT_MAX) this.#kept.delete(this.#kept.keys().next().value!);
    // Nobody is told of an old failure.
    looked.catch(() => {
      if (this.#kept.get(key)?.looked === looked) this.#kept.delete(key);
    });
    return looked;
  }

  #ask(at: LookAt, pid: bigint): Promise<ClusterLooked> {
    this.#last = (this.#last + 1) % 2 ** 32;
    const number = this.#last;
    return new Promise((resolve, reject) => {
      const late = ownTurn({ timer: 'look', at }, () => done(Errno.timedout));
      const timer = setTimeout(late, WAIT_MS);
      const done = (looked: ClusterLooked | number): void => {
        clearTimeout(timer);
        this.#waiting.delete(number);
        if (typeof looked === 'number') reject(new WasiError(looked));
        else resolve(looked);
      };
      this.#waiting.set(number, done);
      this.#send({ number, at, pid });
    });
  }
}
