// The owner of everything that a local cluster is: its services, folders, lock and record.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import type { Logger } from '@odonata/rpc/log.ts';
import { enterClusterCgroup } from '@odonata/userfault/sandbox/cluster-cgroup.ts';
import { identityDir } from '../cluster/certificates.ts';
import { compileCache } from '../cluster/compile-cache.ts';
import { makeFolder } from '../cluster/folder.ts';
import { identify } from '../cluster/identity.ts';
import type { Lock } from '../cluster/lock.ts';
import type { ClusterPaths } from '../cluster/paths.ts';
import { type ClusterPlan, writeRecord } from '../cluster/record.ts';
import { clearRemains, MARK } from '../cluster/remains.ts';
import { takeReplaceRequest } from '../cluster/replace.ts';
import { SupervisedGateway } from '../gateway/supervised-gateway.ts';
import { SupervisedLodgers } from '../lodger/supervised-lodgers.ts';
import { MemberLink } from '../machine/link.ts';
import { markRemoved } from '../machine/membership.ts';
import { Janitor } from './janitor.ts';
import { KeptIdentities } from './kept-identities.ts';
import { NodeWishes } from './node-wishes.ts';
import { DRAIN_MS, NodeWork } from './node-work.ts';
import { routerPortsOf, type ServiceSpec, serviceSpecs } from './service-spec.ts';
import { weighSession } from './session-weight.ts';
import { SupervisedBus } from './supervised-bus.ts';
import { SupervisedService } from './supervised-service.ts';
import { findTool } from './tool.ts';

/** How long a service may drain. Virtual kernels get 3 s of it from their own supervisor. */
const GRACE_MS = 6000;
/** Until a record that could not be written is tried again, or one that somebody deleted. */
const RECORD_MS = 1_000;

export interface SupervisorOptions {
  plan: ClusterPlan;
  paths: ClusterPaths;
  lock: Lock;
  log: Logger;
}

/** Of pmapd, for tests only: whoever starts a cluster with it has it in all of its nodes. */
const TEST_SETTINGS = ['ODONATA_PMAPD_TEST_FLUSH_MS', 'ODONATA_PMAPD_TEST_NODE_BYTES'];

export class Supervisor {
  readonly #plan: ClusterPlan;
  readonly #paths: ClusterPaths;
  readonly #lock: Lock;
  readonly #log: Logger;
  readonly #services: SupervisedService[];
  readonly #janitor: Janitor;
  /** Of a node of another machine's cluster: none. */
  readonly #bus: SupervisedBus | undefined;
  /** Of a cluster that machines may join. */
  readonly #wishes: NodeWishes | undefined;
  /** Of a node of another machine's cluster. */
  readonly #link: MemberLink | undefined;
  readonly #lodgers: SupervisedLodgers;
  readonly #gateway: SupervisedGateway;
  readonly #startedMs = Date.now();
  #stopped: Promise<void> | undefined;
  /** Its cluster does not have it any more. */
  #out = false;
  #writing: NodeJS.Timeout | undefined;
  #later: NodeJS.Timeout | undefined;

  constructor({ plan, paths, lock, log }: SupervisorOptions) {
    this.#plan = plan;
    this.#paths = paths;
    this.#lock = lock;
    this.#log = log;
    this.#janitor = new Janitor(paths, keepsStore(plan), log);
    const natsServer = findTool('nats-server');
    assert(natsServer || plan.member, 'up checks that nats-server is there');
    const setpriv = findTool('setpriv');
    if (!setpriv)
      log.warn('setpriv (util-linux) is missing: services outlive a killed supervisor for a while');
    const around = {
      log,
      env: {
        PATH: process.env.PATH ?? '/usr/bin:/bin',
        NODE_COMPILE_CACHE: compileCache(),
        ...(process.env.ODONATA_BUNDLE === undefined ? {} : { ODONATA_BUNDLE: process.env.ODONATA_BUNDLE }),
        ...Object.fromEntries(
          TEST_SETTINGS.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
        ),
        [MARK]: plan.runtimeDir,
      },
      wrap: setpriv ? [setpriv, '--pdeathsig', 'INT', '--'] : [],
      changed: () => this.#write(),
    };
    this.#lodgers = new SupervisedLodgers({
      ...{ plan, around, log },
      pmapdRuns: (node) =>
        this.#services.some(
          ({ spec, record }) => spec.name === `${node}/pmapd` && record.state === 'running',
        ),
    });
    this.#gateway = new SupervisedGateway({ plan, around, log });
    this.#services = serviceSpecs(plan, { node: process.execPath, natsServer: natsServer ?? '' }).map(
      (spec) => new SupervisedService(spec, around),
    );
    const nodes = new Map(
      plan.nodes.map(({ name }) => [
        name,
        new NodeWork(this.#services.filter(({ spec }) => spec.node === name)),
      ]),
    );
    if (plan.member === undefined) {
      this.#bus = new SupervisedBus({ plan, paths, log, nats: this.#services[0]! });
      this.#wishes =
        plan.ports.door === undefined ? undefined : new NodeWishes({ plan, nodes, bus: this.#bus, log });
    } else {
      const node = nodes.get(plan.member.node)!;
      this.#link = new MemberLink({ plan, member: plan.member, node, log, removed: () => this.#removed() });
    }
  }

  start(): void {
    this.#janitor.start();
    // The janitor outlives the group.
    if (!enterClusterCgroup(this.#plan.runtimeDir)) weighSession();
    this.#write();
    const identities = this.#plan.insecure ? undefined : new KeptIdentities(identityDir(this.#plan));
    this.#writing = setInterval(() => {
      if (identities?.look())
        this.#log.warn('the folder of the cluster was deleted: its identities are there again');
      this.#bus?.look();
      this.#wishes?.look();
      this.#lodgers.look();
      this.#gateway.look();
      if (!existsSync(this.#paths.clusterFile)) this.#write();
    }, RECORD_MS);
    this.#wishes?.look();
    this.#lodgers.look();
    const others = this.#services.filter((service) => service !== this.#bus?.nats);
    if (this.#bus === undefined) for (const service of others) service.start();
    else void this.#startAfter(this.#bus, others);
    this.#link?.start();
  }

  async #startAfter(bus: SupervisedBus, services: readonly SupervisedService[]): Promise<void> {
    bus.start();
    if (this.#plan.hadStore) await bus.forgetVolatile();
    if (this.#stopped) return;
    for (const service of services) service.start();
    this.#gateway.look();
  }

  /** The cluster has put this node out: it ends, and what is here of it counts no more. */
  #removed(): void {
    this.#log.error(
      { node: this.#plan.member?.node, cluster: this.#plan.member?.cluster },
      'this node was removed from its cluster, and ends',
    );
    this.#out = true;
    markRemoved(this.#plan);
    process.kill(process.pid, 'SIGTERM');
  }

  /** Replaces the service that vkctl asked for, or starts it where it was given up. */
  replaceAsked(): void {
    const name = takeReplaceRequest(this.#paths);
    const service = this.#services.find(({ spec }) => spec.name === name);
    const isReplaced =
      service === undefined
        ? name !== undefined && this.#lodgers.replace(name)
        : service.revive() || service.replace();
    if (!isReplaced) this.#log.warn({ service: name }, 'is not replaced: it does not run');
  }

  /** Ends the services, the ones that others lean on last, and removes every trace. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#bus?.stop();
    this.#link?.stop();
    clearInterval(this.#writing);
    clearTimeout(this.#later);
    this.#writeRecord(true);
    await this.#gateway.stop();
    // While their pmap manager is there.
    await this.#lodgers.stop();
    // Of a node of a larger cluster others go on with what it has.
    const drains = this.#plan.member !== undefined && !this.#out;
    const [signal, graceMs] = drains ? (['SIGTERM', DRAIN_MS] as const) : (['SIGINT', GRACE_MS] as const);
    const order = ['vkerneld', 'pmapd', 'door', 'cohd', 'syslinkd', 'nats'];
    for (const kind of order) {
      const some = this.#services.filter(({ spec }) => kindOf(spec) === kind);
      await Promise.all(some.map((service) => service.stop(graceMs, signal)));
    }
    if (!this.#out) await this.#link?.goodbye();
    await clearRemains(this.#paths, { keepStore: keepsStore(this.#plan) });
    this.#janitor.dismiss();
    this.#lock.release();
    this.#log.info('down');
  }

  #write(): void {
    if (!this.#stopped) this.#writeRecord(false);
  }

  // Whoever deleted the folder, or filled its disk, takes nothing down by that: vkctl finds us by our mark.
  #writeRecord(stopping: boolean): void {
    const { clusterFile, logDir } = this.#paths;
    try {
      makeFolder(logDir);
      writeRecord(clusterFile, {
        version: 1,
        replaces: true,
        ...(stopping ? { stopping } : {}),
        plan: this.#plan,
        supervisor: identify(process.pid)!,
        startedMs: this.#startedMs,
        syslink: routerPortsOf(this.#plan),
        services: [...this.#services.map((service) => service.record), ...this.#gateway.records],
      });
    } catch (error) {
      // A disk that is full ends no cluster: the record is late, and comes when there is room.
      this.#log.error(
        { error: (error as Error).message },
        'cannot write the record of the cluster; trying again',
      );
      clearTimeout(this.#later);
      this.#later = setTimeout(() => this.#write(), RECORD_MS);
    }
  }
}

/** What belongs to a demo or a test ends with it. */
const keepsStore = ({ owner }: ClusterPlan): boolean => owner === undefined;

/** `node2/pmapd` is a pmapd, `cohd3` a cohd. */
const kindOf = ({ name }: ServiceSpec): string => name.split('/').at(-1)!.replace(/\d+$/, '');
