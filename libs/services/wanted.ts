// What the nodes of a cluster are told of virtual kernels and folders: a record of each, beside those of services, and what follows
// from it for one node. What is said of all nodes holds for those that come later, too.
//
//     v/USER/NAME   what a virtual kernel may have        said of all (`all`), and of single nodes (`only`), which goes before that;
//     f/HASH        a folder of the nodes' machines       `null` in `only`: not there, whatever is said of all
import { createHash } from 'node:crypto';
import { z } from 'zod';

const count = z.number().int().min(0);
const names = z.object({ listen: z.array(z.string()), connect: z.array(z.string()), none: z.boolean() });
const vkernelSaid = z.object({
  /** 0: as of any virtual kernel; absent: nobody said. */
  quota: z.object({
    memoryBytes: count.optional(),
    cpuWeight: count.optional(),
    cpuMillis: count.optional(),
    processes: count.optional(),
    dataspaces: count.optional(),
    diskBytes: count.optional(),
    descriptors: count.optional(),
  }),
  names: names.optional(),
});
const folderSaid = z.enum(['write', 'read', 'none']);

const wantedVkernel = z.object({
  kind: z.literal('vkernel'),
  user: z.string(),
  name: z.string(),
  all: vkernelSaid.optional(),
  only: z.record(z.string(), vkernelSaid.nullable()),
});
const wantedFolder = z.object({
  kind: z.literal('folder'),
  path: z.string(),
  all: folderSaid.optional(),
  only: z.record(z.string(), folderSaid),
});
const wantedRecord = z.discriminatedUnion('kind', [wantedVkernel, wantedFolder]);

export type VkernelSaid = z.infer<typeof vkernelSaid>;
export type FolderSaid = z.infer<typeof folderSaid>;
export type WantedVkernel = z.infer<typeof wantedVkernel>;
export type WantedFolder = z.infer<typeof wantedFolder>;
export type WantedRecord = z.infer<typeof wantedRecord>;

/** Of each kind; and nodes of which one record says something of their own. */
export const WANTED_MAX = 1_000;
export const WANTED_NODES_MAX = 1_000;

export const wantedVkernelKey = (user: string, name: string): string => `v/${user}/${name}`;
export const wantedFolderKey = (path: string): string =>
  `f/${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
/** Such a record is written by the directory alone, when a person says so, and by no node. */
export const isWantedKey = (key: string): boolean => key.startsWith('v/') || key.startsWith('f/');

/** Undefined: of another form. */
export function wantedIn(text: string): WantedRecord | undefined {
  try {
    return wantedRecord.safeParse(JSON.parse(text)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What holds on a node; undefined: nothing does. */
export function vkernelOn({ all, only }: WantedVkernel, node: string): VkernelSaid | undefined {
  const said = Object.hasOwn(only, node) ? only[node] : all;
  return said ?? undefined;
}

export function folderOn({ all, only }: WantedFolder, node: string): FolderSaid | undefined {
  return Object.hasOwn(only, node) ? only[node] : all;
}

/** @param node empty: all; then what was said of single nodes changes in the same way */
export function withVkernel(
  before: WantedVkernel | undefined,
  { user, name, node }: { user: string; name: string; node: string },
  change: VkernelSaid,
): WantedVkernel {
  const { all, only = {} } = before ?? {};
  const changed = (said: VkernelSaid | null | undefined): VkernelSaid => {
    const given = Object.entries(change.quota).filter(([, value]) => value !== undefined);
    return {
      quota: { ...said?.quota, ...Object.fromEntries(given) },
      ...((change.names ?? said?.names) && { names: change.names ?? said?.names }),
    };
  };
  const about = { kind: 'vkernel' as const, user, name };
  if (node !== '') {
    const said = Object.hasOwn(only, node) ? only[node] : all;
    return { ...about, ...(all && { all }), only: { ...only, [node]: changed(said) } };
  }
  const each = Object.entries(only).map(([of, said]) => [of, said && changed(said)] as const);
  return { ...about, all: changed(all), only: Object.fromEntries(each) };
}

/** @returns undefined: nothing is left that was said */
export function withoutVkernel(before: WantedVkernel, node: string): WantedVkernel | undefined {
  if (node === '') return undefined;
  const { [node]: _, ...others } = before.only;
  const only = before.all === undefined ? others : { ...others, [node]: null };
  return before.all === undefined && Object.keys(only).length === 0 ? undefined : { ...before, only };
}

/**
 * @param node empty: all; then nothing is left of what was said of single nodes
 * @param away where it is taken away from all: nodes that have not heard it
 * @returns undefined: nothing is left that was said
 */
export function withFolder(
  before: WantedFolder | undefined,
  { path, node, away }: { path: string; node: string; away: readonly string[] },
  wish: FolderSaid,
): WantedFolder | undefined {
  const about = { kind: 'folder' as const, path };
  const { all, only = {} } = before ?? {};
  if (node !== '') return { ...about, ...(all && { all }), only: { ...only, [node]: wish } };
  if (wish !== 'none') return { ...about, all: wish, only: {} };
  if (away.length === 0) return undefined;
  return { ...about, only: Object.fromEntries(away.map((each) => [each, 'none' as const])) };
}
