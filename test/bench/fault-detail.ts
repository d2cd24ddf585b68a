// Where the time of a fault goes: samples of each process that has a part in it, its system calls, and the way of single faults.
import { clusterProcesses } from './cpu-time.ts';
import { type Around, type ProcessProfile, placesOf, profileFaults, profileTables } from './fault-profile.ts';
import { nodesFrom, play, type Scene } from './fault-scenes.ts';
import { countSystemCalls, type SystemCalls, systemCallTable } from './fault-system-calls.ts';
import { timelines } from './fault-timeline.ts';
import type { PartResult, Setting } from './part.ts';

export async function faultDetail(
  setting: Setting,
  all: readonly Scene[],
  nodes: readonly string[],
): Promise<Omit<PartResult, 'figures'>> {
  const profiles: ProcessProfile[] = [];
  const counted: SystemCalls[] = [];
  for (const [i, scene] of all.entries()) {
    if (scene.kind.place === 'vkernel') continue;
    const { name: fault } = scene.kind;
    setting.progress(`${fault}: where its time goes`);
    const order = nodesFrom(nodes, i);
    const round = async (around: Around): Promise<number> =>
      (await play(setting, scene, order, around)).accesses;
    profiles.push(...(await profileFaults(setting, fault, order, round)));
    const pids = await clusterProcesses(setting.to);
    for (const [process, name] of Object.entries({ vkernel: `${order[0]}/vkernel`, ...placesOf(order) })) {
      const pid = pids.get(name);
      if (pid === undefined) continue;
      const about = { fault, process, pid };
      const calls = await countSystemCalls({ ...about, folder: setting.folder }, round);
      if (calls !== undefined) counted.push(calls);
    }
  }
  const ways = await timelines(setting);
  return {
    tables: [...profileTables(profiles), systemCallTable(counted), ways.table],
    measured: { profiles, systemCalls: counted, timelines: ways.measured },
  };
}
