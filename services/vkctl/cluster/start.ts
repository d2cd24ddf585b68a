// Brings a local cluster up: checks, plan, supervisor.

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { bundled, currentBundle } from '@odonata/rpc/bundle.ts';
import { explain, Failure, reasonOf } from '../failure.ts';
import { memberPlan } from '../machine/plan.ts';
import { makeSnapshot } from '../snapshot/make.ts';
import { certified, nodeFolders } from '../supervisor/service-spec.ts';
import { findTool } from '../supervisor/tool.ts';
import { makeCertificates } from './certificates.ts';
import { makeFolder } from './folder.ts';
import { type Identity, identify } from './identity.ts';
import { type Lock, tryLock } from './lock.ts';
import { workAgain } from './nodes-file.ts';
import { type ClusterPaths, clusterPaths } from './paths.ts';
import { tellServices } from './people.ts';
import { makePlan } from './plan.ts';
import { fillPrograms } from './programs.ts';
import type { ClusterPlan, ClusterRecord } from './record.ts';
import { clearRemains, removeFolders } from './remains.ts';
import type { StartOptions } from './start-options.ts';
import { stopCluster } from './stop.ts';
import { type FoundSupervisor, markedSupervisors, runningSupervisor, supervisorEnv } from './supervisors.ts';
import { withToolTrouble } from './tool-trouble.ts';
import { untilReady } from './until-ready.ts';

export type { StartOptions } from './start-options.ts';

export const DEFAULT_PORT = 7411;
/** Whoever clears the cluster up lets go of its lock within this. */
const LOCK_MS = 20_000;

/** Resolves when every service is connected and every node has the directory; else nothing is left. */
export async function startCluster(options: StartOptions): Promise<ClusterRecord> {
  const paths = clusterPaths(options.cluster);
  if (options.membership === undefined) requireTools();
  await bundle(options);
  const lock = await lockOrFail(paths);
  let supervisor: Identity;
  const keepStore = options.owner === undefined && !options.fresh;
  try {
    await clearRemains(paths, { keepStore });
    try {
      make(paths.logDir, 'ODONATA_HOME', true);
      const plan = await (options.membership === undefined
        ? makePlan(options, paths)
        : memberPlan(options, options.membership, paths));
      makeFolders(plan);
      await fillPrograms(paths);
      if (!plan.insecure && plan.member === undefined) {
        await makeCertificates(plan, certified(plan));
        if (plan.host !== undefined) await workAgain(plan);
        tellServices(plan);
      }
      supervisor = spawnSupervisor(plan, paths, lock);
    } catch (error) {
      removeFolders(paths, keepStore);
      throw error;
    }
  } catch (error) {
    lock.release();
    throw error;
  }
  lock.handOver();
  try {
    return await untilReady(paths, supervisor, options);
  } catch (error) {
    const told = error instanceof Failure ? error : new Failure(explain(error), { cause: error });
    await stopCluster(paths, supervisor, options.owner === undefined);
    throw await withToolTrouble(told);
  }
}

/** Without one the cluster starts as well, only later. */
async function bundle({ onNote }: StartOptions): Promise<void> {
  try {
    if (currentBundle() === undefined) await (await import('../bundle/make.ts')).makeBundle();
  } catch (error) {
    onNote?.(`services start from their sources, which takes longer: ${reasonOf(error).split('\n')[0]}`);
  }
  try {
    await makeSnapshot();
  } catch (error) {
    onNote?.(`vkctl starts without a snapshot, which takes longer: ${reasonOf(error).split('\n')[0]}`);
  }
}

function requireTools(): void {
  if (findTool('nats-server')) return;
  throw new Failure('nats-server is not installed', {
    fix: 'Run "make setup", or: sudo apt-get install nats-server',
  });
}

async function lockOrFail(paths: ClusterPaths): Promise<Lock> {
  const endMs = Date.now() + LOCK_MS;
  for (;;) {
    const lock = lockOf(paths);
    if (lock) return lock;
    // Who has it clears it up just now (`down`, the janitor of a killed supervisor), or is another `up`.
    const running = runningSupervisor(paths);
    if (running && running.record?.stopping !== true) throw alreadyUp(paths, running);
    const [other] = markedSupervisors(paths.cluster).filter(({ stateDir }) => stateDir !== paths.stateDir);
    if (other !== undefined || Date.now() >= endMs) throw heldElsewhere(paths, other);
    await sleep(50);
  }
}

const OPEN_SHM = 'Let this user write in /dev/shm: chmod 1777 /dev/shm (see vkctl doctor)';

function lockOf({ lockFile }: ClusterPaths): Lock | undefined {
  try {
    return tryLock(lockFile);
  } catch (error) {
    throw new Failure(`cannot make ${lockFile}: ${reasonOf(error)}`, { fix: OPEN_SHM, cause: error });
  }
}

const flagOf = ({ cluster }: ClusterPaths): string => (cluster === 'default' ? '' : ` --cluster ${cluster}`);

function alreadyUp(
  paths: ClusterPaths,
  { identity, record }: { identity: Identity; record?: ClusterRecord },
): Failure {
  const more = record ? `, ${record.plan.nodes.length} nodes, ${record.syslink}` : '';
  const flag = flagOf(paths);
  return new Failure(
    `cluster "${paths.cluster}" is already ${record ? 'up' : 'starting'} (supervisor ${identity.pid}${more})`,
    {
      fix: `See it with "vkctl status${flag}", end it with "vkctl down${flag}", or choose another --cluster name.`,
    },
  );
}

function heldElsewhere({ cluster, lockFile }: ClusterPaths, other: FoundSupervisor | undefined): Failure {
  if (other === undefined)
    return new Failure(`cluster "${cluster}" is held by another vkctl (${lockFile})`, { fix: 'Try again.' });
  const home = dirname(other.stateDir);
  return new Failure(
    `cluster "${cluster}" is already up with ODONATA_HOME=${home} (supervisor ${other.identity.pid})`,
    { fix: 'Use that ODONATA_HOME, or choose another --cluster name.' },
  );
}

/** Before the supervisor: what cannot be made is told here, in one line. */
function makeFolders(plan: ClusterPlan): void {
  // Not recursive: a folder that is there already would be somebody else's, what was ours is removed.
  make(plan.runtimeDir, 'XDG_RUNTIME_DIR');
  make(plan.memoryDir);
  for (const { name } of plan.nodes) {
    const { socketDir, memoryDir } = nodeFolders(plan, name);
    make(socketDir, 'XDG_RUNTIME_DIR');
    make(memoryDir);
  }
}

function make(folder: string, variable?: string, recursive = false): void {
  try {
    if (recursive) makeFolder(folder);
    else mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    const fix = variable ? `Set ${variable} to a folder that can be written` : OPEN_SHM;
    throw new Failure(`cannot make the folder ${folder}: ${reasonOf(error)}`, { fix, cause: error });
  }
}

function spawnSupervisor(plan: ClusterPlan, paths: ClusterPaths, lock: Lock): Identity {
  const main = bundled(fileURLToPath(new URL('../supervisor/main.ts', import.meta.url)));
  const log = openSync(join(paths.logDir, 'supervisor.log'), 'a', 0o600);
  const told = planToRead(plan, paths);
  const child = spawn(process.execPath, [main], {
    stdio: [told, log, log, lock.fd],
    detached: true,
    cwd: '/',
    env: supervisorEnv(paths),
  });
  closeSync(log);
  closeSync(told);
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (!identity) throw new Failure('cannot start the supervisor', { fix: 'See: vkctl doctor.' });
  child.unref();
  return identity;
}

/** A file and not a pipe: the supervisor has its plan whole, also where we are killed as soon as it runs. */
function planToRead(plan: ClusterPlan, { stateDir }: ClusterPaths): number {
  const file = join(stateDir, 'plan.json');
  writeFileSync(file, JSON.stringify(plan), { mode: 0o600 });
  try {
    return openSync(file, 'r');
  } finally {
    unlinkSync(file);
  }
}
