// Two whole clusters on this machine, north and south, with a gateway each as a process of its own; between the gateways a line that
// delays, and can be cut.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { BadLine } from '../../services/syslinkd/gateway/testdata/bad-line.ts';
import { rawLine } from '../../services/syslinkd/gateway/testdata/raw-line.ts';
import { freePort } from '../../services/syslinkd/gateway/testdata/two-clusters.ts';
import { TestCluster, until } from '../cluster/cluster.ts';
import { VKCTL } from '../cluster/command.ts';

export interface Peer {
  readonly name: string;
  readonly connected: boolean;
  readonly reason: string;
  readonly dataspaces: readonly { name: string; pages: number; trouble: string }[];
  readonly lentPages: number;
  readonly borrowedPages: number;
  readonly overduePages: number;
  readonly lostPages: number;
}

/** A cluster with a gateway. */
export class Side {
  readonly cluster: TestCluster;
  readonly policyFile: string;
  #gateway: ChildProcess | undefined;

  constructor(cluster: TestCluster) {
    this.cluster = cluster;
    const folder = join(cluster.home, 'gateway');
    mkdirSync(folder);
    this.policyFile = join(folder, 'policy.yaml');
  }

  get name(): string {
    return this.cluster.cluster;
  }

  /** Lets another one know its authority. @returns the name of the file, for the policy of that one */
  show(other: Side): string {
    const file = join(other.cluster.home, 'gateway', `${this.name}.crt`);
    copyFileSync(join(this.cluster.home, this.name, 'identity/ca/ca.crt'), file);
    return file;
  }

  policy(text: string): void {
    writeFileSync(this.policyFile, text);
  }

  serve(): void {
    const { env } = this.cluster;
    const args = [VKCTL, 'gateway', 'serve', '-q', this.policyFile];
    this.#gateway = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  }

  signal(signal: NodeJS.Signals): void {
    this.#gateway?.kill(signal);
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const gateway = this.#gateway;
    this.#gateway = undefined;
    if (gateway === undefined || gateway.exitCode !== null || gateway.signalCode !== null) return;
    const ended = once(gateway, 'exit');
    gateway.kill(signal);
    await ended;
  }

  async peer(): Promise<Peer | undefined> {
    const { stdout } = await this.cluster.vkctl(['gateway', 'ls', '--json']);
    const [peer] = JSON.parse(stdout || '[]') as (Omit<Peer, 'name'> & { peer: string })[];
    return peer === undefined ? undefined : { ...peer, name: peer.peer };
  }
}

export class TwoClusters {
  readonly north: Side;
  readonly south: Side;
  readonly line: BadLine;
  readonly port: number;
  readonly relay: number;

  private constructor(north: Side, south: Side, ports: { port: number; relay: number }) {
    Object.assign(this, ports);
    this.port = ports.port;
    this.relay = ports.relay;
    this.north = north;
    this.south = south;
    this.line = new BadLine(ports.relay, ports.port);
  }

  /** @param allowDirs of this machine, which programs of both may use */
  static async up(leaseMs: number, allowDirs: string[] = []): Promise<TwoClusters> {
    const [port, relay] = [await freePort(), await freePort()];
    const north = new Side(await TestCluster.up({ nodes: 2, leaseMs, allowDirs }));
    const south = new Side(await TestCluster.up({ nodes: 2, leaseMs, allowDirs }));
    return new TwoClusters(north, south, { port, relay });
  }

  /** What each owner allows. */
  allow({ exports, shared = [] }: { exports: readonly string[]; shared?: readonly string[] }): void {
    const { north, south, port, relay } = this;
    const lent = [...exports, ...shared.map((name) => ({ name, access: 'read-write' }))];
    const imports = [...new Set(['table', 'shared', 'history', 'wide', ...shared])];
    north.policy(`listen: 127.0.0.1:${port}
memory: 64K
peers:
  - name: ${south.name}
    authority: ${south.show(north)}
    imports: [":seen"]
    dataspaces: { exports: ${JSON.stringify(lent)}, imports: [fake] }
`);
    south.policy(`memory: 64K
peers:
  - name: ${north.name}
    authority: ${north.show(south)}
    address: 127.0.0.1:${relay}
    exports: [":seen"]
    users: { "*": visitor }
    dataspaces: { imports: ${JSON.stringify(imports)} }
`);
  }

  /** As the south's gateway at the north's door, to say what one likes; that of the south must be down. */
  async rawLine() {
    const dir = join(this.south.cluster.home, this.south.name, 'identity/gateway-gateway');
    const authority = readFileSync(join(this.north.cluster.home, this.north.name, 'identity/ca/ca.crt'));
    return await rawLine({ port: this.port, folder: new TlsFolder(dir), authority });
  }

  /** As the south calls it. */
  get table(): string {
    return `table@${this.north.name}`;
  }

  /** The one that both write, as the south calls it. */
  get shared(): string {
    return `shared@${this.north.name}`;
  }

  async mapped(name = this.table): Promise<void> {
    // That of a gateway before may be there still.
    await until(`${name} may be read`, async () => {
      const { code } = await this.south.cluster.run('node1', 'far', ['look', name, 'read']);
      return code === 0;
    });
  }

  async down(): Promise<void> {
    await this.north.end();
    await this.south.end();
    await this.line.close();
    for (const { cluster } of [this.north, this.south]) {
      rmSync(join(cluster.home, 'gateway'), { recursive: true, force: true });
      await cluster.down();
    }
  }
}
