// Every service once, by its own command line, as a unit file or a container starts it.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { type CommandEnd, startVkctl } from '../cluster/command.ts';
import { type ServiceName, ServiceProcess, until } from './service-process.ts';

export interface OneNodeOptions {
  /** Added to the flags of every service. */
  flags?: readonly string[];
  /** A folder a role with its certificate; absent: no identities. */
  tlsDir?: string;
  /** As in pods: pmapd is one user of the machine, vkerneld another. */
  users?: { pmapd: number; vkerneld: number };
  /** Added to the environment of vkctl. */
  vkctlEnv?: NodeJS.ProcessEnv;
}

export class OneNode {
  readonly folder = mkdtempSync(join(tmpdir(), 'odonata-operate-'));
  readonly memoryDir = mkdtempSync('/dev/shm/odonata-operate-');
  readonly services = new Map<ServiceName | 'nats', ServiceProcess>();
  readonly metrics = new Map<ServiceName, string>();
  readonly addresses = new Map<ServiceName, string>();
  #options: OneNodeOptions = {};

  /** Resolves when the node has the directory. */
  static async up(options: OneNodeOptions = {}): Promise<OneNode> {
    const node = new OneNode();
    node.#options = options;
    try {
      await node.#up();
      return node;
    } catch (error) {
      await node.down();
      throw error;
    }
  }

  async #up(): Promise<void> {
    const [nats, syslinkd, cohd, pmapd, vkerneld] = (await pickPorts(5)) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const at = (port: number) => `127.0.0.1:${port}`;
    if (this.#options.users !== undefined) chmodSync(this.memoryDir, 0o1777);
    this.services.set('nats', ServiceProcess.nats(nats, join(this.folder, 'nats')));
    const syslink = ['--syslink', at(syslinkd)];
    const bus = ['--nats', at(nats)];
    const place = ['--node', 'n1', '--node-index', '0'];
    const { users } = this.#options;
    const common = ['--socket-dir', join(this.folder, 's')];
    const guests = join(this.memoryDir, 'vkernels');
    const [ofPmapd, ofVkerneld] =
      users === undefined
        ? [[...common, '--memory-dir', this.memoryDir], common]
        : [
            [
              ...[
                '--socket-dir',
                join(this.memoryDir, 'pmapd'),
                '--memory-dir',
                join(this.memoryDir, 'memory'),
              ],
              ...['--vkernel-dir', guests, '--vkernel-uid', `${users.vkerneld}`],
            ],
            ['--socket-dir', join(this.memoryDir, 'vkerneld'), '--pmapd-dir', guests],
          ];
    const memory = [...ofPmapd, '--frames-bytes', String(256 << 20)];
    this.#start('syslinkd', syslinkd, []);
    this.#start('cohd', cohd, [...bus, ...syslink, '--standalone']);
    this.#start('pmapd', pmapd, [...place, ...memory, ...bus, ...syslink, '--directory', at(cohd)]);
    this.#start('vkerneld', vkerneld, [...place, ...ofVkerneld, ...syslink]);
    for (const [name, service] of this.services) {
      if (name !== 'nats') this.metrics.set(name, String((await service.line('metrics')).address));
    }
    for (const name of this.metrics.keys()) await this.ready(name);
  }

  #start(name: ServiceName, port: number, args: string[]): void {
    const { flags = [], tlsDir } = this.#options;
    const identity = tlsDir === undefined ? [] : ['--tls-dir', join(tlsDir, name)];
    const common = [
      '--listen',
      `127.0.0.1:${port}`,
      '--metrics-listen',
      '127.0.0.1:0',
      '--log-level',
      'debug',
    ];
    this.addresses.set(name, `127.0.0.1:${port}`);
    const all = [...args, ...common, ...identity, ...flags];
    const uid = name === 'pmapd' || name === 'vkerneld' ? this.#options.users?.[name] : undefined;
    this.services.set(name, ServiceProcess.service(name, all, undefined, uid));
  }

  async ready(name: ServiceName): Promise<void> {
    const ok = async () => ((await this.get(name, '/readyz')).status === 200 ? true : undefined);
    await until(`/readyz of ${name}`, 90_000, ok, this.services.get(name));
  }

  async get(name: ServiceName, path: string): Promise<{ status: number; text: string }> {
    const response = await fetch(`http://${this.metrics.get(name)}${path}`);
    return { status: response.status, text: await response.text() };
  }

  vkctl(args: string[], env: NodeJS.ProcessEnv = {}, stdin?: string): Promise<CommandEnd> {
    const ODONATA_SYSLINK = this.addresses.get('syslinkd');
    const all = { ...process.env, NO_COLOR: '1', ODONATA_SYSLINK, ...this.#options.vkctlEnv, ...env };
    return startVkctl(args, { env: all, stdin }).ended;
  }

  async down(): Promise<void> {
    // Those that others lean on come last.
    for (const name of ['vkerneld', 'pmapd', 'cohd', 'syslinkd', 'nats'] as const)
      await this.services.get(name)?.stop();
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.memoryDir, { recursive: true, force: true });
  }
}
