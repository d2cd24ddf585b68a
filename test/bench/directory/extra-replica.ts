// A replica of a cluster's directory that nobody starts again when it ends.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { createClient } from '@odonata/rpc/client.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { clusterPaths } from '../../../services/vkctl/cluster/paths.ts';
import { MARK } from '../../../services/vkctl/cluster/remains.ts';
import type { Place } from './holders.ts';

const COHD = join(import.meta.dirname, '../../../services/cohd/main.ts');
const LOOK_EVERY_MS = 50;

export class ExtraReplica {
  readonly name: string;
  private readonly folder: TlsFolder | undefined;
  private readonly child: ChildProcess;
  private readonly gone: Promise<unknown>;

  /** @param syslink of the cluster's router, host:port */
  static async start(
    place: Place,
    options: { name: string; leaseMs: number; syslink: string; signal: AbortSignal },
  ): Promise<ExtraReplica> {
    return new ExtraReplica(place, { ...options, folder: await place.replica?.(options.name) });
  }

  private constructor(
    place: Place,
    options: {
      name: string;
      leaseMs: number;
      syslink: string;
      signal: AbortSignal;
      folder?: TlsFolder | undefined;
    },
  ) {
    const { name, leaseMs, syslink, signal, folder } = options;
    this.folder = folder;
    this.name = name;
    const args = [
      ...['--listen', '127.0.0.1:0', '--replica', name, '--lease-ms', String(leaseMs)],
      ...['--nats', place.nats, '--cluster', place.cluster, '--syslink', syslink, '--log-level', 'error'],
      ...(folder === undefined ? [] : ['--tls-dir', folder.dir]),
      ...(place.replicaCredentials ? ['--nats-credentials', place.replicaCredentials] : []),
    ];
    this.child = spawn(process.execPath, [COHD, ...args], {
      // By the mark it ends with the cluster, should we be killed.
      env: { ...process.env, [MARK]: clusterPaths(place.cluster).runtimeDir },
      stdio: ['ignore', 'ignore', 'inherit'],
      signal,
      killSignal: 'SIGKILL',
    });
    this.child.on('error', () => {}); // An abort; its exit is awaited.
    this.gone = once(this.child, 'close');
  }

  /** Resolves with its address when every replica, this one too, leads its even part of all shards. */
  async settled(place: Place): Promise<string> {
    const first = createClient(DirectoryService, place.directories[0]!, { folder: this.folder });
    try {
      for (;;) {
        const { replicas, shards } = await first.getDirectoryStats({});
        const own = replicas[this.name];
        const led = await Promise.all(Object.values(replicas).map((address) => ledBy(address, this.folder)));
        const even = Math.floor(shards / (place.directories.length + 1));
        const all = led.reduce((total, each) => total + each, 0) === shards;
        if (own !== undefined && all && led.every((each) => each >= even)) return own;
        await sleep(LOOK_EVERY_MS);
      }
    } finally {
      first.close();
    }
  }

  /** kill -9. */
  kill(): void {
    this.child.kill('SIGKILL');
  }

  async close(): Promise<void> {
    this.kill();
    await this.gone.catch(() => {});
  }
}

/** Shards that a replica leads and serves. */
async function ledBy(address: string, folder: TlsFolder | undefined): Promise<number> {
  const replica = createClient(DirectoryService, address, { folder });
  try {
    const { shardsLed, rebuilding } = await replica.getDirectoryStats({});
    return rebuilding ? 0 : shardsLed.length;
  } finally {
    replica.close();
  }
}
