// Starts virtual kernels behind the walls that this machine has. What a virtual kernel gets: a view of the runtime and of its
// code, one folder with the sockets that are meant for it, and its settings in a descriptor. No path of anybody's data, and no
// environment but a mark by which `vkctl down` finds it.
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { closeSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { bubblewrap, toolsWithin } from './bubblewrap.ts';
import { type CgroupBounds, DELEGATE, NodeCgroups } from './cgroup.ts';
import { closeOnExec } from './inherited.ts';
import { landlockRules, startLandlocked } from './landlock.ts';
import { landlockAbi } from './landlock-abi.ts';
import type { LayerName } from './layer-names.ts';
import { goesWith, type Host, type Layer, lookAtHost } from './layers.ts';
import { memoryFile } from './memory-file.ts';
import { runtimeView } from './runtime-view.ts';
import type { Settings } from './settings.ts';

const CACHE = '/cache';
/**
 * No configuration of OpenSSL: Node would look for one where nothing is to be seen. And few heaps of the C library: it makes one for
 * each thread, eight a processor at most, and thousands of threads one after another leave 40 MiB in each. What is large is mapped by itself,
 * also after more was freed at once: so rings and channels of programs that write and ask little have no memory where nothing was written.
 */
const OF_NODE = { OPENSSL_CONF: '/dev/null', MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '65536' };
/** Of the start of bubblewrap up to its first word. */
const PLACED_MS = 20_000;

export interface SandboxOptions {
  /** Names the node on this machine. */
  readonly socketDir: string;
  /** The folders of the sockets that virtual kernels use. */
  readonly sockets: readonly string[];
  /** Below these, programs may be granted directories. They come as descriptors; Landlock wants to know them all the same. */
  readonly allowDirs: readonly string[];
  /** A uid of theirs, where we are root. */
  readonly uid: number | undefined;
  /** Layers that may be missing. */
  readonly allowUnconfined: ReadonlySet<LayerName>;
  /** Tells the audit log what is refused. */
  readonly logs: boolean;
  /** It starts all the same, without its control group. */
  readonly onTrouble: (error: unknown) => void;
}

export interface StartOptions {
  /** Names it among those of the node, for its control group. */
  readonly name: string;
  /** What sets the walls up from within, then runs the program. */
  readonly entry: string;
  readonly program: string;
  /** Its own, where we are root. */
  readonly uid: number | undefined;
  /** What it gets to know. */
  readonly settings: Readonly<Record<string, string>>;
  /** In its environment: finds it again, and is no secret. */
  readonly mark: readonly [string, string];
  readonly bounds: CgroupBounds;
  /** Where what it writes goes; our own log otherwise. */
  readonly output?: number;
}

/** A process that was started. */
export interface Confined {
  /** The process of the virtual kernel itself, as this machine numbers it. Rejects where it did not come that far. */
  readonly hostPid: Promise<number>;
  /** How it ended: `SIGKILL`, `exit code 3`. */
  readonly ended: Promise<string>;
}

/** Why no virtual kernel can start here, in a line for each layer that is missing. */
export class UnconfinedError extends Error {
  constructor(missing: readonly Layer[]) {
    // Each once: what goes with another one is told with that.
    const told = missing.filter((layer) => goesWith(missing, layer) === layer.name);
    const lines = told.map(({ name, detail, fix }) => `${name}: ${detail}${fix ? ` (fix: ${fix})` : ''}`);
    const names = told.map(({ name }) => name).join(',');
    super(
      `this machine cannot confine virtual kernels: ${lines.join('; ')}. To start them all the same, less confined: --allow-unconfined ${names}`,
    );
    this.name = 'UnconfinedError';
  }
}

export class Sandbox {
  readonly host: Host;
  readonly #options: SandboxOptions;
  readonly #cgroups: NodeCgroups | undefined;

  /** @throws UnconfinedError */
  constructor(options: SandboxOptions, host: Host = lookAtHost(options.uid)) {
    this.#options = options;
    this.host = host;
    const missing = this.missing.filter(
      (layer) =>
        layer.mandatory &&
        ![layer.name, goesWith(host.layers, layer)].some((name) => options.allowUnconfined.has(name)),
    );
    if (missing.length > 0) throw new UnconfinedError(missing);
    closeOnExec();
    this.#cgroups = host.cgroupHome && new NodeCgroups(host.cgroupHome, options.socketDir);
  }

  /** True where each virtual kernel can have a uid of its own. */
  get givesUids(): boolean {
    return this.host.tools !== undefined;
  }

  get missing(): readonly Layer[] {
    return this.host.layers.filter(({ ok }) => !ok);
  }

  start(options: StartOptions): Confined {
    const { filters, tools } = this.host;
    const settings: Settings = {
      filter: filters?.run.toString('base64') ?? '',
      logs: this.#options.logs,
      environment: options.settings,
    };
    const bytes = Buffer.from(JSON.stringify(settings));
    if (tools === undefined) return this.#byThread(options, bytes);
    const settingsFd = memoryFile('settings', bytes);
    try {
      return this.#inNamespaces(options, settingsFd);
    } finally {
      closeSync(settingsFd);
    }
  }

  /** It may use so much from now on. */
  bound(name: string, bounds: CgroupBounds): void {
    try {
      this.#cgroups?.bound(name, bounds);
    } catch (error) {
      this.#options.onTrouble(error);
    }
  }

  /** Undefined: parts of the processors can be bounded here; else why they cannot, and how to mend it. */
  get lacksCpu(): string | undefined {
    if (this.#cgroups?.boundsCpu) return undefined;
    return `this machine has no control group for processors that is ours (${DELEGATE})`;
  }

  /** How long it was held back, as it had all of its processor time. */
  throttledMs(name: string): number {
    return this.#cgroups?.throttledMs(name) ?? 0;
  }

  /** True where its control group ended it, or a part of it, as memory ran out. */
  ranOut(name: string): boolean {
    return this.#cgroups?.ranOut(name) ?? false;
  }

  /** It has ended. */
  ended(name: string): void {
    this.#cgroups?.remove(name);
  }

  /** Removes what is left of virtual kernels that ended while nobody looked. */
  clear(kept: ReadonlySet<string>): void {
    this.#cgroups?.clear(kept);
  }

  /** All of them have ended. */
  async close(): Promise<void> {
    await this.#cgroups?.close();
  }

  #inNamespaces(options: StartOptions, settingsFd: number): Confined {
    const { entry, program, mark, uid, output = 2 } = options;
    const { tools, filters, userNamespace } = this.host;
    const filterFd = filters && memoryFile('seccomp', filters.start);
    // By number in the child: its settings, the filter, the word of bwrap, and ours that it may go on.
    const stdio: StdioOptions = ['ignore', output, output, settingsFd, filterFd ?? 'ignore', 'pipe', 'pipe'];
    const inside = {
      readOnly: [...runtimeView(toolsWithin(tools!, uid), [entry, program]), ...this.#options.sockets],
      moved: compileCaches(uid),
      environment: { ...OF_NODE, [mark[0]]: mark[1], NODE_COMPILE_CACHE: CACHE },
      ...{ uid, userNamespace },
      descriptors: [
        ...(filterFd === undefined ? [] : ([['--seccomp', 4]] as const)),
        ...([
          ['--info-fd', 5],
          ['--block-fd', 6],
        ] as const),
      ],
    };
    const [command, ...args] = bubblewrap(tools!, inside, [process.execPath, entry, program]);
    const env = { PATH: process.env.PATH, [mark[0]]: mark[1] };
    const child = spawn(command!, args, { stdio, env, cwd: '/' });
    if (filterFd !== undefined) closeSync(filterFd);
    return { hostPid: this.#place(child, options), ended: endOf(child) };
  }

  /** Waits for its process, puts it into its control group, and lets it go on. */
  async #place(child: ChildProcess, options: StartOptions): Promise<number> {
    const pipes: readonly unknown[] = child.stdio;
    const [info, go] = pipes.slice(5) as [Readable | null, Writable | null];
    if (!info || !go) throw new Error('bubblewrap did not start');
    go.on('error', () => {}); // It ended; its end is told by the child.
    const hostPid = await pidIn(info);
    this.#enter(options, hostPid);
    go.end('.');
    return hostPid;
  }

  /** By Landlock, or by neither, where that is missing as well and may be. */
  #byThread(options: StartOptions, settings: Uint8Array): Confined {
    const { entry, program, mark } = options;
    const cache = process.env.NODE_COMPILE_CACHE;
    const readOnly = [
      ...runtimeView([], [entry, program]),
      ...this.#options.sockets,
      ...(cache ? [cache] : []),
    ];
    const shown = { readOnly, writable: this.#options.allowDirs };
    const environment = { ...OF_NODE, [mark[0]]: mark[1], ...(cache && { NODE_COMPILE_CACHE: cache }) };
    const command = [process.execPath, entry, program];
    if (!this.#has('landlock') && this.host.filters === undefined)
      return this.#bare(options, command, environment, settings);
    const { pid, ended, goOn } = startLandlocked({
      ...{ command, environment, settings, output: options.output ?? 2 },
      rules: this.#has('landlock') ? landlockRules(shown, landlockAbi()) : undefined,
      filter: this.host.filters?.ringless,
    });
    const hostPid = pid.then((number) => {
      this.#enter(options, number);
      goOn();
      return number;
    });
    return { hostPid, ended };
  }

  /** Without any layer that binds what it starts: then no thread need take one. */
  #bare(
    options: StartOptions,
    [node, ...args]: readonly string[],
    env: Readonly<Record<string, string>>,
    settings: Uint8Array,
  ): Confined {
    const { output = 2 } = options;
    const stdio: StdioOptions = ['ignore', output, output, 'pipe'];
    const child = spawn(node!, args, { stdio, env: { ...env }, cwd: '/' });
    const ended = endOf(child);
    const failed = ended.then((how): never => {
      throw new Error(how);
    });
    const hostPid = child.pid === undefined ? failed : Promise.resolve(this.#enter(options, child.pid));
    // It waits for these, and is in its group by then.
    const given = (child.stdio as readonly unknown[])[3] as Writable | null;
    given?.on('error', () => {}); // It ended; its end is told.
    given?.end(Buffer.from(settings));
    failed.catch(() => {}); // Told by its end.
    return { hostPid, ended };
  }

  #has(layer: LayerName): boolean {
    return this.host.layers.some(({ name, ok }) => name === layer && ok);
  }

  #enter({ name, bounds }: StartOptions, pid: number): number {
    try {
      this.#cgroups?.enter(name, pid, bounds);
    } catch (error) {
      this.#options.onTrouble(error);
    }
    return pid;
  }
}

/** Of bubblewrap, which ends with 128 and the signal where what it started got one, or of the program itself. */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => {
      const inside = Object.entries(constants.signals).find(([, number]) => code === 128 + number)?.[0];
      resolve(signal ?? inside ?? `exit code ${code}`);
    });
  });
}

/** Of `{ "child-pid": 123, ... }`, whole: a pipe that is closed early ends bubblewrap. */
async function pidIn(info: Readable): Promise<number> {
  let text = '';
  const late = setTimeout(() => info.destroy(new Error('bubblewrap says nothing')), PLACED_MS);
  try {
    for await (const piece of info) text += String(piece);
  } finally {
    clearTimeout(late);
  }
  const pid = Number(/"child-pid": (\d+)/.exec(text)?.[1]);
  if (pid > 0) return pid;
  throw new Error(
    'bubblewrap ended before it had started anything: see the lines before this one in the log',
  );
}

/**
 * What Node compiled of our modules, to read: half of a start. Its folders are named after whoever uses them; a virtual kernel
 * must not write there, for others run what it finds.
 */
function compileCaches(uid: number | undefined): [string, string][] {
  const folder = process.env.NODE_COMPILE_CACHE;
  if (folder === undefined) return [];
  const ours = `-${process.getuid!()}`;
  const theirs = `-${uid ?? process.getuid!()}`;
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(ours))
      .map((name) => [join(folder, name), join(CACHE, name.slice(0, -ours.length) + theirs)]);
  } catch {
    return [];
  }
}
