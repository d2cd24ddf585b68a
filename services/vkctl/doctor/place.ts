// Checks of the places that one cluster uses: its port, folders, and what an earlier one left.
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { clusterFlag } from '../cluster/cluster-flag.ts';
import { makeFolder } from '../cluster/folder.ts';
import { isAlive } from '../cluster/identity.ts';
import type { ClusterPaths } from '../cluster/paths.ts';
import { whyNoPort } from '../cluster/ports.ts';
import { readRecord } from '../cluster/record.ts';
import { runningSupervisor } from '../cluster/supervisors.ts';
import type { Check } from './check.ts';

export async function checkPort(paths: ClusterPaths, port: number): Promise<Check> {
  const name = 'port';
  const why = await whyNoPort(port);
  if (why === undefined) return { name, ok: true, detail: `127.0.0.1:${port} is free` };
  const record = readRecord(paths.clusterFile);
  if (record && isAlive(record.supervisor) && record.plan.ports.syslinkd.includes(port)) {
    return { name, ok: true, detail: `127.0.0.1:${port} is this cluster's own` };
  }
  if (why === 'forbidden')
    return {
      ...{
        name,
        ok: false,
        detail: `127.0.0.1:${port} is not for this user: the kernel gives it to root only`,
      },
      fix: 'vkctl up --port N of 1024 or above, or --port 0 for any',
    };
  const fix = 'vkctl up --port N with another one, or --port 0 for any';
  return { name, ok: false, detail: `127.0.0.1:${port} is taken by another program`, fix };
}

export function checkFolders(paths: ClusterPaths): Check {
  const name = 'folders';
  const home = dirname(paths.stateDir);
  for (const [folder, variable] of [
    [home, 'ODONATA_HOME'],
    [dirname(paths.runtimeDir), 'XDG_RUNTIME_DIR'],
    [dirname(paths.memoryDir), undefined],
  ] as const) {
    try {
      if (folder === home) makeFolder(home);
      accessSync(folder, constants.W_OK | constants.X_OK);
    } catch (error) {
      const fix = variable ? `set ${variable} to a folder that you may write` : `chmod 1777 ${folder}`;
      return { name, ok: false, detail: (error as Error).message, fix };
    }
  }
  return { name, ok: true, detail: `${paths.stateDir}, ${paths.runtimeDir}, ${paths.memoryDir}` };
}

export function checkRemains(paths: ClusterPaths): Check {
  const name = 'remains';
  const running = runningSupervisor(paths);
  if (running) {
    return {
      name,
      ok: true,
      detail: `cluster "${paths.cluster}" is up (supervisor ${running.identity.pid})`,
    };
  }
  const left = [paths.stateDir, paths.runtimeDir, paths.memoryDir].filter((folder) => existsSync(folder));
  if (left.length === 0) return { name, ok: true, detail: 'none of a dead cluster' };
  const flag = clusterFlag(paths.cluster);
  return { name, ok: false, detail: `a dead cluster left ${left.join(', ')}`, fix: `vkctl down${flag}` };
}
