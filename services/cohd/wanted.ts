// The methods of WantedService: what the nodes of the cluster are told is kept as records, beside those of services. People write
// them, through here; nodes read them (libs/services/wanted.ts).
import type { VkernelQuota } from '@odonata/proto/vkernel/v1/vkernel';
import { FolderWish, type WantedService } from '@odonata/proto/vkernel/v1/wanted';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { personOf } from '@odonata/rpc/identity/identity.ts';
import { PERSON } from '@odonata/rpc/identity/person.ts';
import { invalidField, overQuota, tryAgain } from '@odonata/rpc/refusal.ts';
import type { CallContext, Handlers } from '@odonata/rpc/service.ts';
import {
  type FolderSaid,
  type VkernelSaid,
  WANTED_MAX,
  WANTED_NODES_MAX,
  type WantedFolder,
  type WantedRecord,
  type WantedVkernel,
  wantedFolderKey,
  wantedIn,
  wantedVkernelKey,
  withFolder,
  withoutVkernel,
  withVkernel,
} from '@odonata/services/wanted.ts';
import type { ServiceRecords } from './service-records.ts';

const TRIES = 5;
/** Another replica was first: what it wrote is here by then. */
const AGAIN_MS = 100;
/** All nodes read it again and again. */
const RECORD_CHARS_MAX = 64 * 1024;
const VKERNEL = /^[a-z0-9][a-z0-9-]{0,31}$/;
const NODE = /^[a-z0-9][a-z0-9.-]{0,62}$/;

const SAID: Partial<Record<FolderWish, FolderSaid>> = {
  [FolderWish.WRITE]: 'write',
  [FolderWish.READ]: 'read',
  [FolderWish.NONE]: 'none',
};
const WISH = { write: FolderWish.WRITE, read: FolderWish.READ, none: FolderWish.NONE } as const;

export function wantedHandlers(
  records: Pick<ServiceRecords, 'find' | 'below' | 'swap'>,
): Handlers<typeof WantedService> {
  /** Reads, decides and writes, again where somebody else was first. @returns whether there was one */
  const change = async <T extends WantedRecord>(
    key: string,
    decide: (before: T | undefined) => T | undefined,
  ): Promise<boolean> => {
    for (let tries = 1; ; tries++) {
      const found = records.find(key);
      const before = found && (wantedIn(found.value) as T | undefined);
      const after = decide(before);
      if (after === undefined && found === undefined) return false;
      try {
        await records.swap(key, found?.revision ?? 0, after === undefined ? '' : textOf(after));
        return before !== undefined;
      } catch (error) {
        if (!RpcError.is(error, Code.Aborted)) throw error;
        if (tries === TRIES)
          throw tryAgain(Code.Unavailable, 'somebody else says something of it just now; try again', {
            cause: error,
          });
        await delay(AGAIN_MS);
      }
    }
  };
  const expectRoom = (before: WantedRecord | undefined, prefix: string, what: string): void => {
    if (before !== undefined || records.below(prefix).length < WANTED_MAX) return;
    throw overQuota('cluster', `something is said of ${WANTED_MAX} ${what}, the most of a cluster`);
  };

  return {
    async wantVkernel({ name, user, node, quota, names }, ctx) {
      const who = named({ name, user, node }, ctx);
      const said: VkernelSaid = {
        quota: quotaOf(quota),
        ...(names && {
          names: { listen: [...names.listen], connect: [...names.connect], none: names.none },
        }),
      };
      await change<WantedVkernel>(wantedVkernelKey(who.user, name), (before) => {
        expectRoom(before, 'v/', 'virtual kernels');
        return withVkernel(before, who, said);
      });
      ctx.log.info({ ...who }, 'what a virtual kernel may have, on nodes that come later too');
      return {};
    },

    async forgetVkernel({ name, user, node }, ctx) {
      const who = named({ name, user, node }, ctx);
      const key = wantedVkernelKey(who.user, name);
      return { known: await change<WantedVkernel>(key, (before) => before && withoutVkernel(before, node)) };
    },

    async wantFolder({ path, wish, node, away }, ctx) {
      expectNode(node);
      const said = SAID[wish];
      if (said === undefined) throw invalidField('wish', 'what the folder is to be');
      if (!path.startsWith('/') || path.includes('\0')) throw invalidField('path', 'an absolute path');
      if (path !== '/' && (path.endsWith('/') || path.includes('//') || /\/\.\.?(\/|$)/.test(path)))
        throw invalidField('path', 'a path without //, . and .., and without / at its end');
      const known = await change<WantedFolder>(wantedFolderKey(path), (before) => {
        const after = withFolder(before, { path, node, away }, said);
        if (after !== undefined) expectRoom(before, 'f/', 'folders');
        return after;
      });
      ctx.log.info({ path, wish: said, node }, 'what a folder is to be, on nodes that come later too');
      return { known };
    },

    listWantedFolders() {
      const folders = records.below('f/').flatMap((text) => {
        const record = wantedIn(text);
        return record?.kind === 'folder' ? [record] : [];
      });
      return {
        folders: folders
          .sort((a, b) => (a.path < b.path ? -1 : 1))
          .map(({ path, all, only }) => ({
            path,
            all: all === undefined ? FolderWish.UNSPECIFIED : WISH[all],
            nodes: Object.fromEntries(Object.entries(only).map(([each, wish]) => [each, WISH[wish]])),
          })),
      };
    },
  };
}

function named(
  { name, user, node }: { name: string; user: string; node: string },
  { caller }: CallContext,
): { name: string; user: string; node: string } {
  if (!VKERNEL.test(name))
    throw invalidField('name', `"${name}" is no name of a virtual kernel: use 1 to 32 of a-z 0-9 -`);
  if (user !== '' && !PERSON.test(user))
    throw invalidField('user', `${JSON.stringify(user.slice(0, 40))} is no name of a person`);
  expectNode(node);
  return { name, user: user || (personOf(caller) ?? caller.name), node };
}

function expectNode(node: string): void {
  if (node !== '' && !NODE.test(node))
    throw invalidField('node', `${JSON.stringify(node)} is no name of a node`);
}

function quotaOf(quota: VkernelQuota | undefined): VkernelSaid['quota'] {
  const { memoryBytes, cpuWeight, cpuMillis, processes, dataspaces, diskBytes, descriptors } = quota ?? {};
  return {
    ...{ cpuWeight, cpuMillis, processes, dataspaces, descriptors },
    memoryBytes: memoryBytes === undefined ? undefined : Number(memoryBytes),
    diskBytes: diskBytes === undefined ? undefined : Number(diskBytes),
  };
}

function textOf(record: WantedRecord): string {
  const text = JSON.stringify(record);
  if (Object.keys(record.only).length > WANTED_NODES_MAX || text.length > RECORD_CHARS_MAX)
    throw overQuota('cluster', 'too much is said of single nodes: say it of all nodes instead');
  return text;
}
