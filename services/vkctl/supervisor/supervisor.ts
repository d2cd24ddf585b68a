// The owner of everything that a local cluster is: its services, folders, lock and record.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import type { Logger } from '@odonata/rpc/log.ts';
import { identityDir } from '../cluster/certificates.ts';
import { compileCache } from '../cluster/compile-cache.ts';
import { makeFolder } from '../cluster/folder.ts';
import { identify } from '../cluster/identity.ts';
import { natsConfig, natsConfigFile, placeStreams } from '../cluster/kept-store.ts';
import type { Lock } from '../cluster/lock.ts';
import { keeperFile, makeNatsUsers, pagesKeeperFile } from '../cluster/nats-users.ts';
import type { ClusterPaths } from '../cluster/paths.ts';
import { type ClusterPlan, writeRecord } from '../cluster/record.ts';
import { clearRemains, MARK } from '../cluster/remains.ts';
import { takeReplaceRequest } from '../cluster/replace.ts';
import { forgetVolatile } from './forget-volatile.ts';
import { Janitor } from './janitor.ts';
import { KeptIdentities } from './kept-identities.ts';
import { replicaNames, routerPortsOf, type ServiceSpec, serviceSpecs } from './service-spec.ts';
import { StoreKeeper } from './store-keeper.ts';
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
const TEST_FLUSH = 'ODONATA_PMAPD_TEST_FLUSH_MS';

export class Supervisor {
  readonly #plan: ClusterPlan;
  readonly #paths: ClusterPaths;
  readonly #lock: Lock;
  readonly #log: Logger;
  readonly #services: SupervisedService[];
  readonly #janitor: Janitor;
  readonly #keeper: StoreKeeper;
  readonly #startedMs = Date.now();
  #stopped: Promise<void> | undefined;
  #writing: NodeJS.Timeout | undefined;
  #natsConfig = '';
  #later: NodeJS.Timeout | undefined;

  constructor({ plan, paths, lock, log }: SupervisorOptions) {
    this.#plan = plan;
    this.#paths = paths;
    this.#lock = lock;
    this.#log = log;
    this.#janitor = new Janitor(paths, keepsStore(plan), log);
    const natsServer = findTool('nats-server');
    assert(natsServer, 'up checks that nats-server is there');
    const setpriv = findTool('setpriv');
    if (!setpriv)
      log.warn('setpriv (util-linux) is missing: services outlive a killed supervisor for a while');
    const around = {
      log,
      env: {
        PATH: process.env.PATH ?? '/usr/bin:/bin',
        NODE_COMPILE_CACHE: compileCache(),
        ...(process.env.ODONATA_BUNDLE === undefined ? {} : { ODONATA_BUNDLE: process.env.ODONATA_BUNDLE }),
        ...(process.env[TEST_FLUSH] === undefined ? {} : { [TEST_FLUSH]: process.env[TEST_FLUSH] }),
        [MARK]: plan.runtimeDir,
      },
      wrap: setpriv ? [setpriv, '--pdeathsig', 'INT', '--'] : [],
      changed: () => this.#write(),
    };
    this.#services = serviceSpecs(plan, { node: process.execPath, natsServer }).map(
      (spec) => new SupervisedService(spec, around),
    );
    const [nats] = this.#services;
    this.#keeper = new StoreKeeper({
      ...{ folder: paths.natsDir, address: nats!.spec.address, log },
      credentials: plan.insecure ? [] : [keeperFile(plan), pagesKeeperFile(plan)],
      restart: () => nats!.restart(),
      revive: () => nats!.revive(),
    });
  }

  start(): void {
    this.#janitor.start();
    this.#write();
    const identities = this.#plan.insecure ? undefined : new KeptIdentities(identityDir(this.#plan));
    this.#writing = setInterval(() => {
      if (identities?.look())
        this.#log.warn('the folder of the cluster was deleted: its identities are there again');
      if (!existsSync(natsConfigFile(this.#plan.stateDir)) && existsSync(this.#plan.stateDir))
        this.#writeNatsConfig();
      if (!existsSync(this.#paths.clusterFile)) this.#write();
    }, RECORD_MS);
    const { natsDir } = this.#paths;
    mkdirSync(natsDir, { recursive: true, mode: 0o700 });
    placeStreams(natsDir, this.#plan);
    const users = this.#plan.insecure ? '' : makeNatsUsers(this.#plan, replicaNames(this.#plan));
    this.#natsConfig = natsConfig(natsDir) + users;
    this.#writeNatsConfig();
    const [nats, ...others] = this.#services;
    nats!.start();
    this.#keeper.start();
    if (this.#plan.hadStore) void this.#goOn(others);
    else for (const service of others) service.start();
  }

  #writeNatsConfig(): void {
    writeFileSync(natsConfigFile(this.#plan.stateDir), this.#natsConfig, { mode: 0o600 });
  }

  /** Who the supervisor is to NATS. */
  get #keeperFile(): string | undefined {
    return this.#plan.insecure ? undefined : keeperFile(this.#plan);
  }

  /** Memory of the earlier life is gone, before anybody asks for it. */
  async #goOn(services: readonly SupervisedService[]): Promise<void> {
    const { cluster, ports } = this.#plan;
    try {
      const names = await forgetVolatile(`127.0.0.1:${ports.nats}`, cluster, this.#keeperFile);
      this.#log.info({ names }, 'dataspaces without a store ended with the cluster that had them');
    } catch (error) {
      this.#log.error({ err: error }, 'dataspaces without a store stay in the list, and are lost');
    }
    if (this.#stopped) return;
    for (const service of services) service.start();
  }

  /** Replaces the service that vkctl asked for. */
  replaceAsked(): void {
    const name = takeReplaceRequest(this.#paths);
    const service = this.#services.find(({ spec }) => spec.name === name);
    if (service?.replace() !== true) this.#log.warn({ service: name }, 'is not replaced: it does not run');
  }

  /** Ends the services, the ones that others lean on last, and removes every trace. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#keeper.stop();
    clearInterval(this.#writing);
    clearTimeout(this.#later);
    this.#writeRecord(true);
    const order = ['vkerneld', 'pmapd', 'cohd', 'syslinkd', 'nats'];
    for (const kind of order) {
      const some = this.#services.filter(({ spec }) => kindOf(spec) === kind);
      await Promise.all(some.map((service) => service.stop(GRACE_MS)));
    }
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
        services: this.#services.map((service) => service.record),
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
