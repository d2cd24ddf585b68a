/**
 * A cluster of its own for a test file, on real processes.
 *
 *   const cluster = await TestCluster.up({ nodes: 3 });       // beforeAll
 *   const end = await cluster.run('node1', 'counter', ['ds', 'atomic', '1000']);
 *   await cluster.down();                                     // afterAll: also proves that nothing is left
 *
 * It has a home, a name and ports of its own, so files run side by side. It ends with the test's process, however that
 * ends: the supervisor watches it.
 */
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@odonata/client/connection.ts';
import { adminFolder } from '../../services/vkctl/cluster/certificates.ts';
import { isAlive, signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { type ClusterPaths, clusterPaths } from '../../services/vkctl/cluster/paths.ts';
import { type ClusterRecord, readRecord, type ServiceRecord } from '../../services/vkctl/cluster/record.ts';
import { type StartOptions, startCluster } from '../../services/vkctl/cluster/start.ts';
import { stopCluster } from '../../services/vkctl/cluster/stop.ts';
import { connectHere } from '../../services/vkctl/connection.ts';
import { buildGuest } from '../guests/build.ts';
import { type CommandEnd, type CommandOptions, startVkctl } from './command.ts';
import { type End, Program } from './program.ts';
import { tracesOf } from './traces.ts';

export interface RunOptions {
  /** Absent: the node's default one. */
  vkernel?: string;
  /** Whose home it has. */
  homeNode?: string;
  env?: string[];
  dirs?: { hostPath: string; guestPath: string; readOnly?: boolean; node?: string }[];
  memoryBytes?: number;
  stdin?: string | Uint8Array;
}

/** How long a cluster's processes and files may take to vanish. */
const GONE_MS = 15_000;
/**
 * The lease of clusters whose tests do not wait for one to end. While a busy machine runs none of a cluster's processes for
 * some seconds, a lease of the usual 3 s ends, and what is left of the programs says nothing of what is tested.
 */
const LEASE_MS = 15_000;
let clusters = 0;

/** A home and a name that nobody else has; nothing runs there yet. */
export class TestPlace {
  readonly home = mkdtempSync(join(tmpdir(), 'odonata-cluster-test-'));
  readonly cluster = `t${process.pid}-${++clusters}-${Date.now().toString(36)}`;
  readonly env: NodeJS.ProcessEnv;
  readonly paths: ClusterPaths;

  constructor() {
    this.env = { ...process.env, ODONATA_HOME: this.home, ODONATA_CLUSTER: this.cluster, NO_COLOR: '1' };
    this.paths = clusterPaths(this.cluster, this.env);
  }

  vkctl(args: string[], options: Omit<CommandOptions, 'env'> = {}): Promise<CommandEnd> {
    return startVkctl(args, { ...options, env: this.env }).ended;
  }

  get record(): ClusterRecord {
    const record = readRecord(this.paths.clusterFile);
    if (record === undefined) throw new Error(`no record of a cluster in ${this.paths.clusterFile}`);
    return record;
  }

  /** The identity of whoever started it. */
  get tlsDir(): string {
    return adminFolder(this.record.plan)!.dir;
  }

  /** A line for each process, socket, memory file and folder that is there although no cluster runs. */
  traces(ports: number[] = [], withinMs = GONE_MS): Promise<string[]> {
    const { stateDir, runtimeDir, memoryDir, lockFile } = this.paths;
    const paths = [stateDir, runtimeDir, memoryDir, lockFile];
    return tracesOf({ home: this.home, cluster: this.cluster, ports, paths }, withinMs);
  }

  /** Ends what runs here, and removes the home. @throws Error that names what is left. */
  async clear(ports: number[] = []): Promise<void> {
    await stopCluster(this.paths);
    const traces = await this.traces(ports);
    if (traces.length > 0) throw new Error(`the cluster left:\n${traces.join('\n')}`);
    rmdirSync(this.home);
  }
}

export class TestCluster extends TestPlace {
  readonly #modules = new Map<string, Uint8Array>();
  #connection: Connection | undefined;
  #flushes = false;

  /**
   * @param flushMs about so often the pmap of a process is emptied by chance: nobody may notice
   * @param node1Bytes memory of node1, where the others have more
   */
  static async up({
    flushMs = 0,
    node1Bytes,
    ...options
  }: Omit<StartOptions, 'cluster' | 'port' | 'owner'> & {
    flushMs?: number;
    node1Bytes?: number;
  }): Promise<TestCluster> {
    const made = new TestCluster();
    // The supervisor hands it on to its services.
    if (flushMs > 0) process.env.ODONATA_PMAPD_TEST_FLUSH_MS = String(flushMs);
    else delete process.env.ODONATA_PMAPD_TEST_FLUSH_MS;
    if (node1Bytes !== undefined) process.env.ODONATA_PMAPD_TEST_NODE_BYTES = `node1=${node1Bytes}`;
    else delete process.env.ODONATA_PMAPD_TEST_NODE_BYTES;
    // `up` reads it; this process is this test file's alone.
    process.env.ODONATA_HOME = made.home;
    const { cluster } = made;
    await startCluster({
      timeoutMs: 100_000,
      leaseMs: LEASE_MS,
      ...options,
      cluster,
      port: 0,
      owner: process.pid,
    });
    made.#connection = await connectHere(made.record);
    made.#flushes = flushMs > 0;
    return made;
  }

  /** Over the router, as vkctl is; goes on after the router was started again. */
  get connection(): Connection {
    if (this.#connection === undefined) throw new Error('the cluster is not up');
    return this.#connection;
  }

  /** Starts a guest of test/guests. */
  async start(node: string, guest: string, args: string[] = [], options: RunOptions = {}): Promise<Program> {
    const { vkernel = '', homeNode = '', env = [], dirs = [], memoryBytes = 0, stdin } = options;
    const spec = {
      name: guest,
      args,
      env,
      dirs: dirs.map((dir) => ({ readOnly: false, ...dir })),
      memoryBytes: BigInt(memoryBytes),
      vkernel,
      homeNode,
    };
    return new Program(this.connection, node, spec, await this.moduleOf(guest), input(stdin));
  }

  /** Runs a guest to its end. */
  async run(node: string, guest: string, args: string[] = [], options: RunOptions = {}): Promise<End> {
    const program = await this.start(node, guest, args, options);
    return await program.end();
  }

  /** Runs a guest that must succeed; its standard output. */
  async output(node: string, guest: string, args: string[] = [], options: RunOptions = {}): Promise<string> {
    const end = await this.run(node, guest, args, options);
    if (end.code !== 0) {
      throw new Error(
        `${guest} ${args.join(' ')} on ${node}: ${JSON.stringify({ ...end, stdout: `${end.stdout}` })}`,
      );
    }
    return end.stdout.toString();
  }

  /** The same where that is one line of JSON. */
  async json<T = Record<string, unknown>>(
    node: string,
    guest: string,
    args: string[],
    options?: RunOptions,
  ): Promise<T> {
    return JSON.parse(await this.output(node, guest, args, options)) as T;
  }

  /** The bytes of a guest of test/guests. */
  async moduleOf(guest: string): Promise<Uint8Array> {
    const known = this.#modules.get(guest);
    if (known !== undefined) return known;
    const bytes = readFileSync(await buildGuest(guest));
    this.#modules.set(guest, bytes);
    return bytes;
  }

  /** Of a program that is none of test/guests. */
  addModule(name: string, bytes: Uint8Array): void {
    this.#modules.set(name, bytes);
  }

  service(name: string): ServiceRecord {
    const found = this.record.services.find((service) => service.name === name);
    if (found === undefined) throw new Error(`no service ${name}`);
    return found;
  }

  /** Kills a service with SIGKILL. Resolves once it is dead; the supervisor starts it again. */
  async kill(name: string): Promise<void> {
    const { process: identity } = this.service(name);
    if (identity === undefined || !signalIdentity(identity, 'SIGKILL'))
      throw new Error(`${name} does not run`);
    await until(`${name} is dead`, () => !isAlive(identity));
  }

  /** Stops the supervisor from restarting anything while `during` runs. */
  async withoutRestarts<T>(during: () => Promise<T>): Promise<T> {
    const { supervisor } = this.record;
    signalIdentity(supervisor, 'SIGSTOP');
    try {
      return await during();
    } finally {
      signalIdentity(supervisor, 'SIGCONT');
    }
  }

  /** Resolves when `vkctl status` finds nothing wrong but pages that tests before have lost. */
  async well(): Promise<void> {
    let said = '';
    await until(
      'status is well',
      async () => {
        // That costs a file to read; the command below costs the start of a process, each time.
        const down = this.record.services.filter(({ state }) => state !== 'running');
        said = down.map(({ name, state }) => `${name} is ${state}`).join();
        if (down.length > 0) return false;
        const { code, stdout, stderr } = await this.vkctl(['status']);
        said = stdout + stderr;
        return code === 0 || onlyLosses(stderr);
      },
      120_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${said}`);
    });
  }

  /** Ends the cluster. @throws Error that names whatever is left of it. */
  async down(): Promise<void> {
    const { ports } = this.record.plan;
    const flushes = this.#flushes ? await this.#pmapFlushes() : 1;
    this.#connection?.close();
    await this.clear([...ports.syslinkd, ports.nats, ...ports.cohd, ...ports.pmapd, ...ports.vkerneld]);
    if (flushes === 0) throw new Error('no pmap was emptied by chance, so nothing could notice');
  }

  async #pmapFlushes(): Promise<number> {
    const nodes = this.record.plan.nodes.map(({ name }) => this.connection.pmapd(name).getNodeStats({}));
    return (await Promise.all(nodes)).reduce((sum, { pmapFlushes }) => sum + Number(pmapFlushes), 0);
  }
}

const input = (stdin: string | Uint8Array | undefined): Uint8Array | undefined =>
  typeof stdin === 'string' ? Buffer.from(stdin) : stdin;

/** Polls: for what no event tells. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 90_000,
): Promise<void> {
  const endMs = Date.now() + timeoutMs;
  for (;;) {
    const askedMs = Date.now();
    if (await holds()) return;
    if (Date.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(restMs(Date.now() - askedMs));
  }
}

/** Until one asks again, where an answer took so long: a command that is run again and again would keep a processor busy. */
export const restMs = (tookMs: number): number => Math.min(1_000, 25 + 2 * tookMs);

/** True where all that `vkctl status` finds wrong is that pages are LOST. */
export const onlyLosses = (stderr: string): boolean =>
  stderr !== '' &&
  stderr
    .trimEnd()
    .split('\n')
    .every((line) => / pages? (is|are) LOST\./.test(line));
