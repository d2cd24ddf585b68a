// The owner of everything that a local cluster is: its services, folders, lock and record.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Logger } from '@odonata/rpc/log.ts';
import { identify } from '../cluster/identity.ts';
import type { Lock } from '../cluster/lock.ts';
import type { ClusterPaths } from '../cluster/paths.ts';
import { type ClusterPlan, writeRecord } from '../cluster/record.ts';
import { clearRemains, MARK } from '../cluster/remains.ts';
import { takeReplaceRequest } from '../cluster/replace.ts';
import { Janitor } from './janitor.ts';
import { nodeFolders, routersOf, type ServiceSpec, serviceSpecs } from './service-spec.ts';
import { SupervisedService } from './supervised-service.ts';
import { findTool } from './tool.ts';

/** How long a service may drain. Virtual kernels get 3 s of it from their own supervisor. */
const GRACE_MS = 6000;

export interface SupervisorOptions {
  plan: ClusterPlan;
  paths: ClusterPaths;
  lock: Lock;
  log: Logger;
}

export class Supervisor {
  readonly #plan: ClusterPlan;
  readonly #paths: ClusterPaths;
  readonly #lock: Lock;
  readonly #log: Logger;
  readonly #services: SupervisedService[];
  readonly #janitor: Janitor;
  readonly #startedMs = Date.now();
  #stopped: Promise<void> | undefined;

  constructor({ plan, paths, lock, log }: SupervisorOptions) {
    this.#plan = plan;
    this.#paths = paths;
    this.#lock = lock;
    this.#log = log;
    this.#janitor = new Janitor(paths, log);
    const natsServer = findTool('nats-server');
    assert(natsServer, 'up checks that nats-server is there');
    const setpriv = findTool('setpriv');
    if (!setpriv)
      log.warn('setpriv (util-linux) is missing: services outlive a killed supervisor for a while');
    const around = {
      log,
      env: {
        PATH: process.env.PATH ?? '/usr/bin:/bin',
        NODE_COMPILE_CACHE: fileURLToPath(new URL('../../../node_modules/.cache/odonata', import.meta.url)),
        [MARK]: plan.runtimeDir,
      },
      wrap: setpriv ? [setpriv, '--pdeathsig', 'INT', '--'] : [],
      changed: () => this.#write(),
    };
    this.#services = serviceSpecs(plan, { node: process.execPath, natsServer }).map(
      (spec) => new SupervisedService(spec, around),
    );
  }

  start(): void {
    const { runtimeDir, memoryDir } = this.#plan;
    // Not recursive: a folder that is there already would be somebody else's, `up` removed ours.
    for (const folder of [runtimeDir, memoryDir]) mkdirSync(folder, { mode: 0o700 });
    for (const { name } of this.#plan.nodes) {
      const { socketDir, memoryDir: ofNode } = nodeFolders(this.#plan, name);
      for (const folder of [socketDir, ofNode]) mkdirSync(folder, { mode: 0o700 });
    }
    this.#janitor.start();
    this.#write();
    for (const service of this.#services) service.start();
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
    const order = ['vkerneld', 'pmapd', 'cohd', 'syslinkd', 'nats'];
    for (const kind of order) {
      const some = this.#services.filter(({ spec }) => kindOf(spec) === kind);
      await Promise.all(some.map((service) => service.stop(GRACE_MS)));
    }
    await clearRemains(this.#paths);
    this.#janitor.dismiss();
    this.#lock.release();
    this.#log.info('down');
  }

  #write(): void {
    if (this.#stopped) return;
    writeRecord(this.#paths.clusterFile, {
      version: 1,
      replaces: true,
      plan: this.#plan,
      supervisor: identify(process.pid)!,
      startedMs: this.#startedMs,
      syslink: routersOf(this.#plan),
      services: this.#services.map((service) => service.record),
    });
  }
}

/** `node2/pmapd` is a pmapd, `cohd3` a cohd. */
const kindOf = ({ name }: ServiceSpec): string => name.split('/').at(-1)!.replace(/\d+$/, '');
