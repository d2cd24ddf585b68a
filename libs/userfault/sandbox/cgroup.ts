// A control group for each virtual kernel, cgroups(7): bounds on its memory, its threads and its share of the processors, also
// where it is hostile. Version 2 where that has the controllers and is ours to divide, else version 1.
//
//   v1  /sys/fs/cgroup/<controller>/<ours>/odonata-<node>/<virtual kernel>    a tree for each controller
//   v2  /sys/fs/cgroup/<ours>/odonata-<node>/<virtual kernel>
//
// <ours> is the group that we are in; of services of a cluster the one for its guests, cluster-cgroup.ts.
// A group of version 2 that has processes of its own cannot be divided. So root makes its groups below the top one, and a plain
// user, whose group was delegated, moves what runs there into a group beside those of virtual kernels: odonata-services.
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const CONTROLLERS = ['memory', 'pids', 'cpu'];
type Controller = string;

/** Where groups can be made. */
export interface CgroupHome {
  readonly version: 1 | 2;
  readonly detail: string;
  /** The folder by controller; of version 2 all are one. */
  readonly folders: ReadonlyMap<Controller, string>;
}

export interface CgroupBounds {
  readonly memoryBytes: number;
  /** So much beside what is in files of memory there already, where that is more. */
  readonly moreBytes?: number;
  readonly threads: number;
  /** Its part of the processors, where others want them; 100 unless given. */
  readonly cpuWeight?: number;
  /** Thousandths of a processor that it has at most; 0: all. */
  readonly cpuMillis?: number;
}

/** Of a second: how long it may run in each of these; so it stands still for no longer. */
const CPU_PERIOD_US = 100_000;

export type FoundHome = { readonly home: CgroupHome } | { readonly reason: string; readonly fix: string };

export const DELEGATE =
  'as root, or in a unit with Delegate=yes: systemd-run --user --scope -p Delegate=yes vkctl up; without it a virtual kernel is bounded by its quotas only';

/** Other ones for tests. */
export interface CgroupPlace {
  readonly root?: string;
  /** As /proc/self/cgroup says it. */
  readonly own?: string;
  readonly controllers?: readonly Controller[];
  readonly isRoot?: boolean;
  /** Whom to move. */
  readonly pid?: number;
}

/** The two groups of a cluster's own. */
export const SERVICES = '-services';
export const GUESTS = '-guests';
const OF_CLUSTER = new RegExp(`(/odonata-[0-9a-f]{12})${SERVICES}$`);

const ROOT = '/sys/fs/cgroup';

export function findCgroupHome({
  root = ROOT,
  own = readOr('/proc/self/cgroup'),
  controllers = CONTROLLERS,
  isRoot = process.getuid!() === 0,
}: CgroupPlace = {}): FoundHome {
  const pathOf = (controller: Controller): string =>
    ownPath(controller, own).replace(OF_CLUSTER, `$1${GUESTS}`);
  const unified = join(root, pathOf(''));
  const has = readOr(join(unified, 'cgroup.controllers')).trim().split(/\s+/);
  if (controllers.every((controller) => has.includes(controller))) {
    const here = homeOfV2(unified, controllers, !isRoot);
    return 'home' in here || !isRoot ? here : homeOfV2(root, controllers, false);
  }
  const folders = new Map<Controller, string>();
  for (const controller of controllers) {
    const folder = [join(root, controller, pathOf(controller)), join(root, controller)].find((each) =>
      existsSync(join(each, 'cgroup.procs')),
    );
    if (folder !== undefined && isWritable(folder)) folders.set(controller, folder);
  }
  if (folders.size === 0)
    return { reason: `no control group of ours to divide below ${root}`, fix: DELEGATE };
  const named = [...folders.keys()].join(', ');
  return { home: { version: 1, detail: `version 1: ${named}`, folders } };
}

/** The group that somebody is in. @param controller '': of version 2 */
export const ownPath = (controller: Controller, own = readOr('/proc/self/cgroup')): string =>
  own
    .split('\n')
    .map((line) => line.split(':'))
    .find(([, names = '']) => names.split(',').includes(controller))?.[2] ?? '/';

/** @param movesAside whether what runs in it may be moved, where that is in the way */
function homeOfV2(folder: string, controllers: readonly Controller[], movesAside: boolean): FoundHome {
  if (!isWritable(folder)) return { reason: `${folder} is not delegated to us`, fix: DELEGATE };
  try {
    try {
      divide(folder, controllers);
    } catch (error) {
      if (!movesAside || (error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      moveAside(folder);
      divide(folder, controllers);
    }
  } catch (error) {
    // A group that has processes of its own cannot give its controllers on, unless it is the root.
    const { code } = error as NodeJS.ErrnoException;
    return { reason: `${folder} cannot be divided (${code}): processes are in it`, fix: DELEGATE };
  }
  const detail = `version 2: ${controllers.join(', ')}`;
  return { home: { version: 2, detail, folders: new Map(controllers.map((each) => [each, folder])) } };
}

/** The same within a group of this name, whose bounds count for all that is made there. @throws Error of the system */
export function homeWithin(home: CgroupHome, name: string): CgroupHome {
  const folders = new Map([...home.folders].map(([controller, folder]) => [controller, join(folder, name)]));
  for (const folder of new Set(folders.values())) mkdirSync(folder, { recursive: true });
  if (home.version === 2) divide([...folders.values()][0]!, [...folders.keys()]);
  return { ...home, folders };
}

/** Holds all that is within such a group to its part of the processors. @throws Error of the system */
export function boundWithin(
  { version, folders }: CgroupHome,
  { cpuWeight, cpuMillis }: Required<Pick<CgroupBounds, 'cpuWeight' | 'cpuMillis'>>,
): void {
  const folder = folders.get('cpu');
  if (folder === undefined) return;
  for (const [file, value] of cpuFiles(version, cpuWeight, cpuMillis))
    writeFileSync(join(folder, file), String(value));
}

/** For how long all that is within such a group waited as it had all that it may. */
export const throttledWithin = ({ folders }: CgroupHome): number =>
  throttledMsOf(readOr(join(folders.get('cpu') ?? '/', 'cpu.stat')));

/** Removes a group of this name that nobody is in any more, wherever it may be. */
export function removeWithin(home: CgroupHome, name: string): void {
  for (const folder of new Set(home.folders.values())) removeFolder(join(folder, name));
}

/** @param cpuMillis 0: all of them */
function cpuFiles(version: 1 | 2, cpuWeight: number, cpuMillis: number): [string, number | string][] {
  const quotaUs = cpuMillis === 0 ? 0 : (cpuMillis * CPU_PERIOD_US) / 1000;
  if (version === 2)
    return [
      ['cpu.weight', cpuWeight],
      ['cpu.max', `${quotaUs || 'max'} ${CPU_PERIOD_US}`],
    ];
  return [
    ['cpu.shares', Math.max(2, Math.round((cpuWeight * 1024) / 100))],
    ['cpu.cfs_quota_us', quotaUs || -1],
  ];
}

function divide(folder: string, controllers: readonly Controller[]): void {
  const wanted = controllers.map((each) => `+${each}`).join(' ');
  writeFileSync(join(folder, 'cgroup.subtree_control'), wanted);
}

/** They stay in the same unit of systemd, which goes by the whole tree. */
function moveAside(folder: string): void {
  const aside = join(folder, 'odonata-services');
  mkdirSync(aside, { recursive: true });
  // Whoever comes meanwhile is in the next look.
  for (let turn = 0; turn < ASIDE_TURNS; turn++) {
    const pids = readOr(join(folder, 'cgroup.procs')).split('\n').filter(Boolean);
    if (pids.length === 0) return;
    for (const pid of pids) moveInto(aside, pid);
  }
}

const ASIDE_TURNS = 10;

function moveInto(folder: string, pid: string): void {
  try {
    writeFileSync(join(folder, 'cgroup.procs'), pid);
  } catch (error) {
    // It has ended.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The groups of a node's virtual kernels. */
export class NodeCgroups {
  readonly #home: CgroupHome;
  readonly #name: string;

  /** @param socketDir names the node on this machine */
  constructor(home: CgroupHome, socketDir: string) {
    this.#home = home;
    this.#name = nameOf(socketDir);
    // Whoever clears up after us may stand in another control group, and find other ones by itself.
    writeFileSync(join(socketDir, LIST), JSON.stringify(this.#parents()), { mode: 0o600 });
  }

  /** Makes one and puts a process in, which must not have begun to make others. @throws Error of the system */
  enter(vkernel: string, pid: number, bounds: CgroupBounds): void {
    this.#make();
    for (const folder of this.#foldersOf(vkernel)) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'cgroup.procs'), String(pid));
    }
    this.bound(vkernel, bounds);
  }

  /**
   * Changes its bounds. Files of memory that it brought, and that others may map, count beside `moreBytes`; nothing else that it has
   * makes them any larger. What it has more of already it keeps: then the bound stays as it is.
   */
  bound(
    vkernel: string,
    { memoryBytes, moreBytes = 0, threads, cpuWeight = 100, cpuMillis = 0 }: CgroupBounds,
  ): void {
    const { version } = this.#home;
    const used = Number(
      this.#get('memory', vkernel, version === 2 ? 'memory.current' : 'memory.usage_in_bytes'),
    );
    const files = /^shmem (\d+)$/m.exec(this.#get('memory', vkernel, 'memory.stat'))?.[1] ?? 0;
    const most = Math.max(memoryBytes, moreBytes > 0 ? Number(files) + moreBytes : 0);
    // Version 2 would end somebody there at once.
    if (used <= most)
      this.#set('memory', vkernel, version === 2 ? 'memory.max' : 'memory.limit_in_bytes', most);
    this.#set('pids', vkernel, 'pids.max', threads);
    // However many threads it has.
    for (const [file, value] of cpuFiles(version, cpuWeight, cpuMillis))
      this.#set('cpu', vkernel, file, value);
  }

  /** True where parts of the processors are held to. */
  get boundsCpu(): boolean {
    return this.#home.folders.has('cpu');
  }

  /** For how long its threads waited as it had all that it may. */
  throttledMs(vkernel: string): number {
    return throttledMsOf(this.#get('cpu', vkernel, 'cpu.stat'));
  }

  /** True where something in there was ended because its memory ran out. */
  ranOut(vkernel: string): boolean {
    const file = this.#home.version === 2 ? 'memory.events' : 'memory.oom_control';
    const folder = this.#home.folders.get('memory');
    if (folder === undefined) return false;
    const ended = /^oom_kill (\d+)$/m.exec(readOr(join(folder, this.#name, vkernel, file)));
    return Number(ended?.[1] ?? 0) > 0;
  }

  /** The virtual kernel has ended. */
  remove(vkernel: string): void {
    for (const folder of this.#foldersOf(vkernel)) removeFolder(folder);
  }

  /** Removes those of virtual kernels that ended while nobody looked. */
  clear(kept: ReadonlySet<string>): void {
    for (const parent of this.#parents())
      for (const vkernel of foldersIn(parent)) if (!kept.has(vkernel)) removeFolder(join(parent, vkernel));
  }

  /** All of its virtual kernels have ended. */
  async close(): Promise<void> {
    // The last threads of what was killed leave a moment after it is gone.
    for (let turn = 0; turn < LEAVE_TURNS && this.#parents().some((parent) => existsSync(parent)); turn++) {
      if (turn > 0) await delay(LEAVE_MS);
      this.clear(new Set());
      for (const parent of this.#parents()) removeFolder(parent);
    }
  }

  #make(): void {
    for (const parent of this.#parents()) mkdirSync(parent, { recursive: true });
    if (this.#home.version === 1) return;
    const [parent] = this.#parents();
    divide(parent!, [...this.#home.folders.keys()]);
  }

  #get(controller: Controller, vkernel: string, file: string): string {
    const folder = this.#home.folders.get(controller);
    return folder === undefined ? '' : readOr(join(folder, this.#name, vkernel, file));
  }

  #set(controller: Controller, vkernel: string, file: string, value: number | string): void {
    const folder = this.#home.folders.get(controller);
    if (folder === undefined) return;
    try {
      writeFileSync(join(folder, this.#name, vkernel, file), String(value));
    } catch (error) {
      // EBUSY: it uses more than that just now; EINVAL, ENOENT: a kernel without this bound.
      if (!MAY_FAIL.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  #parents(): string[] {
    return [...new Set(this.#home.folders.values())].map((folder) => join(folder, this.#name));
  }

  #foldersOf(vkernel: string): string[] {
    return this.#parents().map((parent) => join(parent, vkernel));
  }
}

/** On a machine that does much else some hundred milliseconds. */
const LEAVE_TURNS = 100;
const LEAVE_MS = 20;
const MAY_FAIL = new Set(['EBUSY', 'EINVAL', 'ENOENT']);

function throttledMsOf(stat: string): number {
  const [, word, time] = /^(throttled_usec|throttled_time) (\d+)$/m.exec(stat) ?? [];
  return Math.round(Number(time ?? 0) / (word === 'throttled_usec' ? 1e3 : 1e6));
}

/** Groups of ours on this machine, wherever they are, by their names. */
export type CgroupsThere = ReadonlyMap<string, readonly string[]>;

/** How deep: those of a node in that of a cluster that lodges here, in that of all guests. */
const DEPTH = 3;

/** What is there now: who stands in another control group, or stood in one that is gone, has found other homes than we do. */
export function cgroupsThere(place: CgroupPlace = {}): CgroupsThere {
  const found = findCgroupHome(place);
  const there = new Map<string, string[]>();
  if (!('home' in found)) return there;
  const { version, folders } = found.home;
  const { root = ROOT } = place;
  const tops = [...folders].flatMap(([controller, folder]) =>
    version === 1 ? [folder, join(root, controller)] : [folder, root],
  );
  const look = (folder: string, depth: number): void => {
    for (const name of foldersIn(folder).filter((each) => each.startsWith('odonata-'))) {
      const path = join(folder, name);
      const paths = there.get(name) ?? [];
      if (!paths.includes(path)) there.set(name, [...paths, path]);
      if (depth > 1) look(path, depth - 1);
    }
  };
  for (const top of new Set(tops)) look(top, DEPTH);
  return there;
}

/** Removes the groups of a node that has ended, whoever made them. */
export function removeCgroups(socketDir: string, there: CgroupsThere = cgroupsThere()): void {
  const name = nameOf(socketDir);
  for (const parent of new Set([...listed(socketDir), ...(there.get(name) ?? [])])) {
    // A word in a file that names something else is no reason to remove that.
    if (basename(parent) !== name) continue;
    for (const vkernel of foldersIn(parent)) removeFolder(join(parent, vkernel));
    removeFolder(parent);
    // Of a cluster that lodges here, around its node's: homeWithin.
    const around = dirname(parent);
    if (basename(around).startsWith('odonata-')) removeFolder(around);
  }
}

/** In the folder of the node's sockets; where that was deleted, as we would make them. */
function listed(socketDir: string): string[] {
  try {
    return (JSON.parse(readFileSync(join(socketDir, LIST), 'utf8')) as string[]).map(String);
  } catch {
    const found = findCgroupHome();
    const folders = 'home' in found ? [...found.home.folders.values()] : [];
    return folders.map((folder) => join(folder, nameOf(socketDir)));
  }
}

const LIST = 'cgroups';

/** Of a node or a cluster, by its folder. */
export const nameOf = (socketDir: string): string =>
  `odonata-${createHash('sha256').update(resolve(socketDir)).digest('hex').slice(0, 12)}`;

export function foldersIn(parent: string): string[] {
  try {
    return readdirSync(parent, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    );
  } catch {
    return [];
  }
}

/** EBUSY: a process is in it still; whoever looks next removes it. @returns whether it is gone */
export function removeFolder(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
