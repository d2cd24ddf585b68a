// nats-server of a cluster that began on this machine: its configuration, its users, its disk.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NatsUser } from '@odonata/bus/permissions.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { natsServerDir } from '../cluster/certificates.ts';
import { natsConfig, natsConfigFile, natsTls, placeStreams } from '../cluster/kept-store.ts';
import { keeperFile, makeNatsUsers, natsUsersConfig, pagesKeeperFile } from '../cluster/nats-users.ts';
import type { ClusterPaths } from '../cluster/paths.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import { forgetVolatile } from './forget-volatile.ts';
import { replicaNames } from './service-spec.ts';
import { StoreKeeper } from './store-keeper.ts';
import type { SupervisedService } from './supervised-service.ts';

export interface SupervisedBusOptions {
  readonly plan: ClusterPlan;
  readonly paths: ClusterPaths;
  readonly log: Logger;
  readonly nats: SupervisedService;
}

export class SupervisedBus {
  readonly nats: SupervisedService;
  readonly #plan: ClusterPlan;
  readonly #natsDir: string;
  readonly #log: Logger;
  readonly #keeper: StoreKeeper;
  /** Of this machine. */
  #users: readonly NatsUser[] = [];
  #config = '';

  constructor({ plan, paths, log, nats }: SupervisedBusOptions) {
    this.nats = nats;
    this.#plan = plan;
    this.#natsDir = paths.natsDir;
    this.#log = log;
    this.#keeper = new StoreKeeper({
      ...{ folder: paths.natsDir, address: nats.spec.address, log, ca: this.#ca },
      credentials: plan.insecure ? [] : [keeperFile(plan), pagesKeeperFile(plan)],
      restart: () => nats.restart(),
      revive: () => nats.revive(),
    });
  }

  start(): void {
    mkdirSync(this.#natsDir, { recursive: true, mode: 0o700 });
    placeStreams(this.#natsDir, this.#plan);
    if (!this.#plan.insecure) this.#users = makeNatsUsers(this.#plan, replicaNames(this.#plan));
    this.#config = this.#configNow();
    this.#write();
    this.nats.start();
    this.#keeper.start();
  }

  /** Writes what somebody has deleted. */
  look(): void {
    const { stateDir } = this.#plan;
    if (!existsSync(natsConfigFile(stateDir)) && existsSync(stateDir)) this.#write();
  }

  /** Nodes came or went: the server takes their users in without a restart. */
  usersChanged(): void {
    const config = this.#configNow();
    // Before the start there is nobody to tell.
    if (this.#config === '' || config === this.#config) return;
    this.#config = config;
    this.#write();
    this.nats.reload();
  }

  /** Memory of the earlier life is gone, before anybody asks for it. */
  async forgetVolatile(): Promise<void> {
    const { cluster, insecure } = this.#plan;
    const credentials = insecure ? undefined : keeperFile(this.#plan);
    try {
      const names = await forgetVolatile(this.nats.spec.address, cluster, credentials, this.#ca);
      this.#log.info({ names }, 'dataspaces without a store ended with the cluster that had them');
    } catch (error) {
      this.#log.error({ err: error }, 'dataspaces without a store stay in the list, and are lost');
    }
  }

  stop(): void {
    this.#keeper.stop();
  }

  get #ca(): string | undefined {
    return this.#plan.host === undefined ? undefined : join(natsServerDir(this.#plan), 'ca.crt');
  }

  #configNow(): string {
    const tls = this.#plan.host === undefined ? '' : natsTls(this.#plan);
    const users = this.#plan.insecure ? '' : natsUsersConfig(this.#plan, this.#users);
    // Not as a flag: nats-server would take no other users in while it runs.
    return `server_name: ${JSON.stringify(`odonata-${this.#plan.cluster}`)}\n${natsConfig(this.#natsDir)}${tls}${users}`;
  }

  #write(): void {
    writeFileSync(natsConfigFile(this.#plan.stateDir), this.#config, { mode: 0o600 });
  }
}
