// Two control groups for what a cluster runs on this machine, so that services need not queue behind guests:
//
//   <ours>/odonata-<cluster>-services    the supervisor, and all services that it starts
//   <ours>/odonata-<cluster>-guests      the groups of virtual kernels, cgroup.ts
//
// Services weigh several times what all guests together do, and what any other group does: whoever serves a fault has a core at once as
// long as services need less than their part, and guests keep theirs also under a storm of faults. All guests of a cluster weigh as much as
// one other group. (Guests that are idle, cpu.idle, let services go first still more surely, and share the cores among themselves far less
// evenly.)
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type CgroupHome,
  type CgroupPlace,
  findCgroupHome,
  foldersIn,
  GUESTS,
  nameOf,
  ownPath,
  removeFolder,
  SERVICES,
} from './cgroup.ts';

/** Of services, in hundredths of the weight of all guests. */
const SERVICES_WEIGHT = 1000;
const LIST = 'cgroup';
/** The last threads of what was killed leave a moment after it is gone. */
const LEAVE_TURNS = 50;
const LEAVE_MS = 20;

/**
 * Moves this process there: what it starts from now on is in it as well.
 * @param runtimeDir names the cluster on this machine
 * @returns false: there are no groups for processors that are ours
 */
export function enterClusterCgroup(runtimeDir: string, place?: CgroupPlace): boolean {
  const found = findCgroupHome(place);
  const cpu = 'home' in found && found.home.folders.get('cpu');
  if (!cpu) return false;
  const top = join(cpu, nameOf(runtimeDir));
  try {
    // Whoever clears up after us may find other homes than we do.
    writeFileSync(join(runtimeDir, LIST), top, { mode: 0o600 });
    for (const folder of groupsOf(top)) mkdirSync(folder, { recursive: true });
    weigh(found.home, top + SERVICES);
    writeFileSync(join(top + SERVICES, 'cgroup.procs'), String(place?.pid ?? process.pid));
    return true;
  } catch {
    // It works all the same, only later.
    groupsOf(top).forEach(removeTree);
    return false;
  }
}

const groupsOf = (top: string): string[] => [top + SERVICES, top + GUESTS];

function weigh({ version }: CgroupHome, folder: string): void {
  const [file, value] =
    version === 2 ? ['cpu.weight', SERVICES_WEIGHT] : ['cpu.shares', (SERVICES_WEIGHT * 1024) / 100];
  writeFileSync(join(folder, String(file)), String(value));
}

/** Removes the groups of a cluster that has ended, whoever made them. Whoever asks leaves them, where it is in one. */
export async function removeClusterCgroup(runtimeDir: string, place?: CgroupPlace): Promise<void> {
  const top = listed(runtimeDir, place);
  // A word in a file that names something else is no reason to remove that.
  if (top === undefined || basename(top) !== nameOf(runtimeDir)) return;
  for (let turn = 0; turn < LEAVE_TURNS; turn++) {
    if (isWithin(top)) leave(top);
    if (groupsOf(top).map(removeTree).every(Boolean)) break;
    await delay(LEAVE_MS);
  }
  rmSync(join(runtimeDir, LIST), { force: true });
}

function listed(runtimeDir: string, place?: CgroupPlace): string | undefined {
  try {
    return readFileSync(join(runtimeDir, LIST), 'utf8');
  } catch {
    const found = findCgroupHome(place);
    const cpu = 'home' in found ? found.home.folders.get('cpu') : undefined;
    return cpu && join(cpu, nameOf(runtimeDir));
  }
}

const isWithin = (top: string): boolean =>
  [ownPath('cpu'), ownPath('')].some((path) => path.split('/').includes(basename(top) + SERVICES));

/** To where the group is; a group of version 2 that is divided takes nobody in, but for the one of all. */
function leave(top: string): void {
  for (const folder of [dirname(top), join(dirname(top), 'odonata-services')])
    try {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'cgroup.procs'), String(process.pid));
      return;
    } catch {}
}

/** @returns whether nothing is left of it */
function removeTree(folder: string): boolean {
  for (const name of foldersIn(folder)) removeTree(join(folder, name));
  return removeFolder(folder);
}
