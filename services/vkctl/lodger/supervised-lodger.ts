// A cluster that lodges here, under supervision.
//
//   blocked -> (its lock is free) -> starting -> ready -> draining -> drained -> ready ...   as its cluster wishes
//   ends: its programs, then its pages go to other nodes of its cluster, then it says good-bye there
import { mkdirSync } from 'node:fs';
import { writeLodgerBounds } from '@odonata/rpc/lodging/bounds.ts';
import type { ShownLodger } from '@odonata/rpc/lodging/shown.ts';
import type { Lodger } from '@odonata/rpc/lodging/wanted.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import {
  boundWithin,
  type CgroupHome,
  findCgroupHome,
  homeWithin,
  removeWithin,
  throttledWithin,
} from '@odonata/userfault/sandbox/cgroup.ts';
import { type Lock, tryLock } from '../cluster/lock.ts';
import { type ClusterPaths, clusterPaths } from '../cluster/paths.ts';
import { fillPrograms } from '../cluster/programs.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import { clearRemains, MARK } from '../cluster/remains.ts';
import { MemberLink } from '../machine/link.ts';
import { type Membership, markRemoved, readMembership } from '../machine/membership.ts';
import { DRAIN_MS, NodeWork } from '../supervisor/node-work.ts';
import { nodeFolders } from '../supervisor/service-spec.ts';
import { SupervisedService, type Surroundings } from '../supervisor/supervised-service.ts';
import { LodgerPmapd } from './lodger-pmapd.ts';
import type { LodgerEntry, LodgerQuota } from './lodgers-file.ts';
import { boundsOf, groupOf, lodgerPlan, lodgerSpecs } from './plan.ts';

const DEFAULT_WEIGHT = 100;

export interface SupervisedLodgerOptions {
  /** Of the machine's own cluster. */
  readonly plan: ClusterPlan;
  readonly around: Surroundings;
  /** Whether the pmap manager of one of its nodes runs. */
  readonly pmapdRuns: (node: string) => boolean;
  readonly log: Logger;
  /** What its pmap manager is to be has changed. */
  readonly changed: () => void;
}

interface Running {
  readonly plan: ClusterPlan;
  readonly pmapd: LodgerPmapd;
  readonly vkerneld: SupervisedService;
  readonly node: NodeWork;
  readonly link: MemberLink;
  readonly group: CgroupHome | undefined;
  readonly lock: Lock;
}

export class SupervisedLodger {
  readonly #o: SupervisedLodgerOptions;
  readonly #paths: ClusterPaths;
  #entry: LodgerEntry;
  #running: Running | undefined;
  #starting: Promise<void> | undefined;
  #ended: Promise<void> | undefined;
  #membership: Membership | undefined;
  #trouble = 'starting';

  constructor(entry: LodgerEntry, options: SupervisedLodgerOptions) {
    this.#entry = entry;
    this.#o = options;
    this.#paths = clusterPaths(entry.cluster);
  }

  /** The node whose pmap manager serves it; where that is no more, another one of the machine. */
  get host(): string {
    const { nodes } = this.#o.plan;
    return (nodes.find(({ name }) => name === this.#entry.host) ?? nodes[0]!).name;
  }

  /** It has ended, and does not begin again. */
  get isOver(): boolean {
    return this.#ended !== undefined && this.#running === undefined;
  }

  /** What its pmap manager is to be; undefined: none. */
  get wanted(): Lodger | undefined {
    return this.#running?.pmapd.wanted;
  }

  get shown(): ShownLodger {
    const { name, user, quota, cluster: called } = this.#entry;
    const { cluster = '', node } = this.#membership ?? {};
    const { pmapd, vkerneld, group } = this.#running ?? {};
    return {
      ...{ name, user, quota, called, cluster, node: node?.name ?? '', state: this.#state },
      hostPid: vkerneld?.record.process?.pid ?? 0,
      ...{ bytes: pmapd?.state?.bytes ?? 0, throttledMs: group === undefined ? 0 : throttledWithin(group) },
    };
  }

  get #state(): string {
    const running = this.#running;
    if (running === undefined) return this.#trouble;
    if (this.#ended !== undefined) return 'ending';
    if (running.node.state !== 'ready') return running.node.state;
    const { state, lastEnd } = running.pmapd.state ?? {};
    const well = state === 'up' && running.vkerneld.record.state === 'running';
    return well ? 'ready' : state === 'waiting' ? `waiting: ${lastEnd}` : 'starting';
  }

  /** As it is wished now; what does not run starts. */
  look(entry: LodgerEntry): void {
    const before = this.#entry.quota;
    this.#entry = entry;
    if (entry.leaving) void this.stop();
    else if (this.#running !== undefined) this.#bound(this.#running, before);
    else if (this.#ended === undefined) this.#start();
  }

  /** Its virtual kernels go on under the next one. Its pmap manager is a part of that of the machine. */
  replaceVkerneld(): boolean {
    return this.#running?.vkerneld.replace() === true;
  }

  #start(): void {
    this.#starting ??= this.#begin()
      .catch((error) => {
        this.#trouble = `waiting: ${(error as Error).message}`;
        this.#o.log.error(
          { err: error, lodger: this.#entry.name },
          'a cluster that lodges here does not start',
        );
      })
      .finally(() => {
        this.#starting = undefined;
      });
  }

  async #begin(): Promise<void> {
    const { log } = this.#o;
    const { name } = this.#entry;
    const membership = readMembership(this.#paths);
    this.#membership = membership;
    if (membership === undefined || membership.removed) {
      this.#trouble = 'removed';
      return;
    }
    const lock = tryLock(this.#paths.lockFile);
    if (lock === undefined) {
      this.#trouble = 'waiting: another vkctl has its folder';
      return;
    }
    try {
      this.#running = await this.#run(membership, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
    log.info(
      { lodger: name, cluster: membership.cluster, node: membership.node.name },
      'a cluster lodges here',
    );
    this.#o.changed();
    if (this.#ended === undefined) {
      this.#running.vkerneld.start();
      this.#running.link.start();
    }
  }

  async #run(membership: Membership, lock: Lock): Promise<Running> {
    const { around, log, pmapdRuns, plan: host } = this.#o;
    const { name, quota } = this.#entry;
    const paths = this.#paths;
    await clearRemains(paths, { keepStore: true });
    const plan = await lodgerPlan(membership, paths, host);
    const { socketDir, memoryDir } = nodeFolders(plan, membership.node.name);
    for (const folder of [paths.logDir, socketDir, memoryDir])
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeLodgerBounds(socketDir, quota);
    await fillPrograms(paths);
    const specs = lodgerSpecs(plan);
    const pmapd = new LodgerPmapd(
      {
        ...{ lodger: name, node: membership.node.name, args: specs.pmapd, logFile: specs.pmapdLog },
        socketDir: nodeFolders(host, this.host).socketDir,
        runs: () => pmapdRuns(this.host),
        changed: this.#o.changed,
      },
      quota.memoryBytes,
    );
    const env = { ...around.env, [MARK]: plan.runtimeDir };
    const vkerneld = new SupervisedService(specs.vkerneld, { ...around, env, changed: () => {} });
    const node = new NodeWork([pmapd, vkerneld]);
    const removed = () => {
      log.error(
        { lodger: name, cluster: membership.cluster },
        'this machine was removed from a cluster that lodged here',
      );
      markRemoved(paths);
      void this.stop();
    };
    const link = new MemberLink({
      ...{ plan, member: plan.member!, log, removed },
      // Its thread may be away with the pmap manager of the machine.
      node: {
        get state() {
          return node.state === 'ready' && pmapd.state?.state !== 'up' ? 'starting' : node.state;
        },
        want: (rest) => node.want(rest),
      },
      bounds: () => boundsOf(this.#entry.quota, host),
    });
    return { plan, pmapd, vkerneld, node, link, lock, group: this.#group(plan, quota) };
  }

  #group(plan: ClusterPlan, quota: LodgerQuota): CgroupHome | undefined {
    const found = findCgroupHome();
    if (!('home' in found)) return undefined;
    try {
      const group = homeWithin(found.home, groupOf(plan));
      boundWithin(group, partOf(quota));
      return group;
    } catch (error) {
      this.#o.log.warn({ err: error, lodger: this.#entry.name }, 'its part of the processors is not bounded');
      return undefined;
    }
  }

  #bound({ pmapd, group, plan }: Running, before: LodgerQuota): void {
    const { quota } = this.#entry;
    if (quota.memoryBytes !== before.memoryBytes) {
      pmapd.framesBytes = quota.memoryBytes;
      this.#o.changed();
    }
    if (group !== undefined && (quota.cpuWeight !== before.cpuWeight || quota.cpuMillis !== before.cpuMillis))
      boundWithin(group, partOf(quota));
    if (quota.processes !== before.processes)
      writeLodgerBounds(nodeFolders(plan, plan.member!.node).socketDir, quota);
  }

  /** Its programs end, its pages go to others of its cluster, and it says good-bye there. Resolves when nothing runs. */
  stop(): Promise<void> {
    this.#ended ??= this.#stop();
    return this.#ended;
  }

  async #stop(): Promise<void> {
    await this.#starting;
    const running = this.#running;
    if (running === undefined) return;
    const { link, vkerneld, pmapd, plan, lock } = running;
    link.stop();
    await vkerneld.stop(DRAIN_MS, 'SIGTERM');
    await pmapd.rest(DRAIN_MS);
    await link.goodbye();
    this.#running = undefined;
    this.#trouble = readMembership(this.#paths)?.removed ? 'removed' : 'ended';
    this.#o.changed();
    await clearRemains(this.#paths, { keepStore: true });
    const found = findCgroupHome();
    if ('home' in found) removeWithin(found.home, groupOf(plan));
    lock.release();
  }
}

const partOf = ({ cpuWeight, cpuMillis }: LodgerQuota) => ({
  cpuWeight: cpuWeight || DEFAULT_WEIGHT,
  cpuMillis,
});
