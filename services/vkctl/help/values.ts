// What may stand in the place of an option's value or an argument: names of what there is in the cluster that is meant.
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { contextInUse } from '@odonata/client/local/contexts.ts';
import { NodeState } from '@odonata/proto/door/v1/door';
import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { EVENT_KINDS } from '@odonata/rpc/events.ts';
import { clusterName, clusterPaths } from '../cluster/paths.ts';
import { withPeople } from '../commands/user-people.ts';
import { runningRecord, withCluster } from '../connection.ts';
import { HERE, listContexts } from '../context/context.ts';

export interface Value {
  readonly value: string;
  readonly what?: string;
}

export interface Values {
  readonly values: readonly Value[];
  readonly files: boolean;
}

/** Whoever pressed the key does not wait longer. */
const ASK_MS = 2_000;

type Ask = (cluster: string | undefined) => Promise<Value[]> | Value[];

const named = (list: readonly string[]): Value[] => list.map((value) => ({ value }));

const processes =
  (ended: boolean): Ask =>
  (cluster) =>
    withCluster({ cluster }, async ({ programs }) =>
      (await programs.list()).processes
        .filter(({ state }) => ended || state !== ProcessState.EXITED)
        .map(({ pid, node, command }) => ({ value: String(pid), what: `${node} ${command.join(' ')}` })),
    );

/** Those that run a process. */
const vkernels: Ask = (cluster) =>
  withCluster({ cluster }, async ({ programs }) => {
    const { processes: all } = await programs.list();
    const running = all.filter(({ state }) => state !== ProcessState.EXITED);
    return named([...new Set(running.map(({ vkernel }) => vkernel))].sort());
  });

/** Also those of which somebody said what they may have, and that do not run. */
const anyVkernels: Ask = (cluster) =>
  withCluster({ cluster }, async (to) =>
    named([...new Set((await to.vkernels.list()).vkernels.map(({ name }) => name))].sort()),
  );

const runningVkernels: Ask = (cluster) =>
  withCluster({ cluster }, async (to) => {
    const running = (await to.vkernels.list()).vkernels.filter(({ hostPid }) => hostPid > 0);
    return named([...new Set(running.map(({ name }) => name))].sort());
  });

const dataspaces: Ask = (cluster) =>
  withCluster({ cluster }, async (to) => named((await to.dataspaces.records()).map(({ name }) => name)));

const snapshots: Ask = (cluster) =>
  withCluster({ cluster }, async (to) => named((await to.snapshots.list()).map(({ name }) => name)));

const nodes: Ask = (cluster) =>
  withCluster({ cluster }, async ({ connection }) =>
    named((await connection.nodes()).map(({ name }) => name)),
  );

/** As the door knows them, also those that rest or whose machine says nothing. */
const members =
  (...states: NodeState[]): Ask =>
  (cluster) =>
    withCluster({ cluster }, async ({ connection }) => {
      const { nodes: all } = await connection.door().listNodes({});
      return named(
        all.filter(({ state }) => states.length === 0 || states.includes(state)).map(({ name }) => name),
      );
    });

const services: Ask = async (cluster) =>
  named((await runningRecord(clusterName(cluster))).services.map(({ name }) => name));

const people: Ask = async (cluster) =>
  (await withPeople({ cluster }, (all) => all.list())).people
    .filter(({ removedMs }) => removedMs === undefined)
    .map(({ name, role }) => ({ value: name, what: role }));

const clusters: Ask = () =>
  readdirSync(dirname(clusterPaths('default').stateDir), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => ({ value: name }));

const contexts: Ask = () => {
  const inUse = contextInUse();
  return listContexts().map(({ name, cluster }) => ({
    value: name,
    what: name === inUse ? `${cluster}, in use` : cluster,
  }));
};

const FILES = 'files';

/** By the end of `COMMAND ARGUMENT` or `COMMAND --OPTION`, the longer one first. */
const SOURCES: readonly (readonly [end: string, ask: Ask | typeof FILES])[] = [
  ['kill pid', processes(false)],
  ['snapshot take pid', processes(false)],
  ['snapshot take name', () => []],
  ['snapshot rm name', snapshots],
  ['run --from', snapshots],
  ['wait pid', processes(false)],
  ['logs pid', processes(true)],
  ['pmap flush pid', processes(false)],
  ['pmap flush --vkernel', vkernels],
  ['vkernel set name', anyVkernels],
  ['vkernel halt name', runningVkernels],
  ['vkernel rm name', anyVkernels],
  ['node drain node', members(NodeState.READY, NodeState.DRAINING)],
  ['node resume node', members(NodeState.DRAINING, NodeState.DRAINED)],
  ['node rm node', members()],
  ['restart service', services],
  ['events --service', services],
  ['events --kind', () => named(Object.keys(EVENT_KINDS))],
  ['user rm name', people],
  ['context use name', async (cluster) => [...(await contexts(cluster)), { value: HERE }]],
  ['context rm name', contexts],
  ['ds create name', () => []],
  ['user add name', () => []],
  ['context add file', FILES],
  ['run program', FILES],
  ['run args', FILES],
  [' --node', nodes],
  [' --cluster', clusters],
  [' --dir', FILES],
  [' --allow-dir', FILES],
  [' --out', FILES],
  [' file', FILES],
];

/** @param what `ds load name`, `run --node` */
export async function valuesOf(what: string, given: ReadonlyMap<string, string>): Promise<Values> {
  const source =
    SOURCES.find(([end]) => what.endsWith(end))?.[1] ?? (/^ds \S+ name$/.test(what) && dataspaces);
  if (!source) return { values: [], files: false };
  if (source === FILES) return { values: [], files: true };
  const { promise: late, resolve } = Promise.withResolvers<Value[]>();
  const timer = setTimeout(() => resolve([]), ASK_MS);
  try {
    // Where nobody answers there is nothing to offer, and no place to say why.
    const asked = Promise.resolve(source(given.get('cluster'))).catch(() => []);
    return { values: await Promise.race([asked, late]), files: false };
  } catch {
    return { values: [], files: false };
  } finally {
    clearTimeout(timer);
  }
}
