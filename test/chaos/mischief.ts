// What is done to the cluster: one fault after another, chosen by the seed.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@odonata/client/connection.ts';
import type { Random } from '@odonata/simulator/random.ts';
import type { Identity } from '../../services/vkctl/cluster/identity.ts';
import { identify, isAlive, signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { clusterPaths } from '../../services/vkctl/cluster/paths.ts';
import { type ClusterRecord, readRecord } from '../../services/vkctl/cluster/record.ts';
import { askToReplace } from '../../services/vkctl/cluster/replace.ts';
import { cut, mend } from './link-cut.ts';

export interface Fault {
  what: string;
  atMs: number;
  forMs: number;
}

export interface MischiefOptions {
  cluster: string;
  to: Connection;
  chance: Random;
  leaseMs: number;
  cuts: boolean;
  signal: AbortSignal;
  onFault(fault: Fault): void;
}

interface Choice {
  weight: number;
  run(): Promise<void>;
}

export class Mischief {
  private readonly o: MischiefOptions;
  private readonly startMs = performance.now();

  constructor(options: MischiefOptions) {
    this.o = options;
  }

  /** Breaks things until it is over, and leaves nothing broken. */
  async run(): Promise<void> {
    // Each as often as it weighs.
    const choices = this.choices().flatMap((choice) => Array<Choice>(choice.weight).fill(choice));
    while (!this.o.signal.aborted) {
      await choices[this.o.chance.below(choices.length)]!.run();
      await this.pause(300 + this.o.chance.below(this.o.leaseMs));
    }
  }

  private choices(): Choice[] {
    const { leaseMs, cuts } = this.o;
    const cohds = (): string[] => this.names(/^cohd/);
    const pmapds = (): string[] => this.names(/\/pmapd$/);
    const all: Choice[] = [
      { weight: 4, run: () => this.kill(cohds()) },
      { weight: 3, run: () => this.stop(cohds(), leaseMs / 3, 2 * leaseMs) },
      { weight: 2, run: () => this.kill(['nats']) },
      { weight: 1, run: () => this.stop(['nats'], 100, leaseMs) },
      { weight: 1, run: () => this.kill(['syslinkd']) },
      { weight: 1, run: () => this.kill(this.names(/\/vkerneld$/)) },
      { weight: 2, run: () => this.stop(pmapds(), leaseMs / 8, leaseMs / 2) },
      { weight: 1, run: () => this.stop(pmapds(), 1.3 * leaseMs, 2 * leaseMs) },
      { weight: 1, run: () => this.kill(pmapds()) },
      { weight: 2, run: () => this.end(pmapds()) },
      { weight: 3, run: () => this.replace(pmapds()) },
      { weight: 1, run: () => this.end(cohds()) },
      { weight: 2, run: () => this.onVkernel('kill') },
      { weight: 2, run: () => this.onVkernel('stop') },
      { weight: 2, run: () => this.killGuest() },
    ];
    if (cuts)
      all.push({ weight: 4, run: () => this.cut([...pmapds(), ...cohds()], leaseMs / 3, 2 * leaseMs) });
    return all;
  }

  private get record(): ClusterRecord {
    return readRecord(clusterPaths(this.o.cluster).clusterFile)!;
  }

  private names(pattern: RegExp): string[] {
    return this.record.services.filter(({ name }) => pattern.test(name)).map(({ name }) => name);
  }

  private pick(names: string[]): { name: string; identity: Identity } | undefined {
    const name = names[this.o.chance.below(names.length)]!;
    const service = this.record.services.find((each) => each.name === name);
    return service?.state === 'running' && service.process ? { name, identity: service.process } : undefined;
  }

  private between(leastMs: number, mostMs: number): number {
    return Math.floor(leastMs + this.o.chance.below(Math.max(1, Math.floor(mostMs - leastMs))));
  }

  private tell(what: string, forMs = 0): void {
    this.o.onFault({ what, forMs, atMs: Math.round(performance.now() - this.startMs) });
  }

  private async kill(names: string[]): Promise<void> {
    const victim = this.pick(names);
    if (victim === undefined) return;
    this.tell(`kill -9 ${victim.name}`);
    signalIdentity(victim.identity, 'SIGKILL');
  }

  /** Tells one to stop, as an upgrade does: it hands over what it has first. */
  private async end(names: string[]): Promise<void> {
    const victim = this.pick(names);
    if (victim === undefined) return;
    this.tell(`end ${victim.name}`);
    signalIdentity(victim.identity, 'SIGTERM');
  }

  /** Another one of it goes on with what it has. */
  private async replace(names: string[]): Promise<void> {
    const victim = this.pick(names);
    if (victim === undefined) return;
    this.tell(`replace ${victim.name}`);
    askToReplace(victim.name, this.record);
  }

  private async stop(names: string[], leastMs: number, mostMs: number): Promise<void> {
    const victim = this.pick(names);
    if (victim !== undefined) await this.stopped(victim, this.between(leastMs, mostMs));
  }

  private async stopped(
    { name, identity }: { name: string; identity: Identity },
    forMs: number,
  ): Promise<void> {
    this.tell(`stop ${name}`, forMs);
    signalIdentity(identity, 'SIGSTOP');
    try {
      await this.pause(forMs);
    } finally {
      if (isAlive(identity)) signalIdentity(identity, 'SIGCONT');
    }
  }

  private async onVkernel(how: 'kill' | 'stop'): Promise<void> {
    const nodes = this.record.plan.nodes;
    const { name: node } = nodes[this.o.chance.below(nodes.length)]!;
    const forMs = this.between(100, 1.5 * this.o.leaseMs);
    const answer = await this.o.to
      .vkerneld(node)
      .listVkernels({}, { deadlineMs: 2_000 })
      .catch(() => undefined);
    // One that is just starting is listed with pid 0, which as a signal's target is our own process group.
    const running = answer?.vkernels.filter(({ hostPid }) => hostPid > 0) ?? [];
    const victim = identify(running[this.o.chance.below(Math.max(1, running.length))]?.hostPid ?? 0);
    if (victim === undefined) return;
    this.tell(`${how === 'kill' ? 'kill -9' : 'stop'} the vkernel of ${node}`, how === 'kill' ? 0 : forMs);
    signalIdentity(victim, how === 'kill' ? 'SIGKILL' : 'SIGSTOP');
    if (how === 'kill') return;
    await this.pause(forMs);
    signalIdentity(victim, 'SIGCONT');
  }

  /** A program of any virtual kernel: of a service, a login, or a worker. */
  private async killGuest(): Promise<void> {
    const nodes = this.record.plan.nodes;
    const { name: node } = nodes[this.o.chance.below(nodes.length)]!;
    const asked = { deadlineMs: 2_000 };
    const vkerneld = this.o.to.vkerneld(node);
    const answer = await vkerneld.listProcesses({}, asked).catch(() => undefined);
    const running = answer?.processes.filter(({ exit }) => exit === undefined) ?? [];
    const victim = running[this.o.chance.below(Math.max(1, running.length))];
    if (victim === undefined) return;
    this.tell(`kill -9 ${victim.command[0]} of ${node}`);
    await vkerneld.kill({ pid: victim.pid, signal: 'SIGKILL' }, asked).catch(() => {});
  }

  private async cut(names: string[], leastMs: number, mostMs: number): Promise<void> {
    const victim = this.pick(names);
    if (victim === undefined) return;
    const forMs = this.between(leastMs, mostMs);
    const { cohd, pmapd, nats } = this.record.plan.ports;
    this.tell(`cut the links of ${victim.name}`, forMs);
    cut(victim.identity.pid, [...cohd, ...pmapd, nats]);
    try {
      await this.pause(forMs);
    } finally {
      mend();
    }
  }

  private async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.o.signal }).catch(() => {});
  }
}
