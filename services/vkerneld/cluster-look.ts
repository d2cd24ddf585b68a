// What programs of a virtual kernel see of the cluster in /proc: asked of all nodes, and of it what is the person's whose the virtual
// kernel is. A node that does not answer in time is left out, as a process is that ended.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { PmapService } from '@odonata/proto/pmap/v1/pmap';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import {
  type ClusterLook,
  type ClusterLookedSchema,
  LookAt,
  VkernelService,
} from '@odonata/proto/vkernel/v1/vkernel';
import type { Logger } from '@odonata/rpc/log.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { Errno } from './vkernel/wasi/errno.ts';
import type { VkernelChild } from './vkernel-child.ts';

/** Each node answers within this. */
const ANSWER_MS = 3_000;
const PAGE_ITEMS = 1_000;
/** What is told at most. */
const ITEMS_MAX = 10_000;
/** Looks of one virtual kernel that are under way: it asks each thing once. */
const UNDER_WAY_MAX = 16;

type Looked = Omit<MessageInitShape<typeof ClusterLookedSchema>, 'number' | '$typeName'>;

export class ClusterLooks {
  readonly #syslink: () => SyslinkEndpoint | undefined;
  readonly #log: Logger;
  readonly #underWay = new Map<string, number>();

  /** @param syslink undefined: it is not there yet */
  constructor(syslink: () => SyslinkEndpoint | undefined, log: Logger) {
    this.#syslink = syslink;
    this.#log = log;
  }

  /** Looks, and answers the virtual kernel. Never fails. */
  async serve(child: VkernelChild, look: ClusterLook): Promise<void> {
    const count = this.#underWay.get(child.key) ?? 0;
    let looked: Looked = { errno: Errno.again };
    if (count < UNDER_WAY_MAX) {
      this.#underWay.set(child.key, count + 1);
      looked = await this.#look(child.user, look).catch((error) => {
        this.#log.debug({ err: error }, 'a look at the cluster failed');
        return { errno: Errno.io };
      });
      const left = this.#underWay.get(child.key)! - 1;
      if (left > 0) this.#underWay.set(child.key, left);
      else this.#underWay.delete(child.key);
    }
    try {
      child.send({ case: 'looked', value: { number: look.number, ...looked } });
    } catch (error) {
      this.#log.debug({ err: error }, 'nobody hears of a look at the cluster');
    }
  }

  async #look(user: string, { at, pid }: ClusterLook): Promise<Looked> {
    const syslink = this.#syslink();
    if (syslink === undefined) return { errno: Errno.again };
    switch (at) {
      case LookAt.PROCESSES: {
        const processes = await ofAll(syslink, EndpointKind.VKERNEL, (name) =>
          processesOf(syslink, name, user),
        );
        return { processes: processes.sort((a, b) => (a.pid < b.pid ? -1 : 1)).slice(0, ITEMS_MAX) };
      }
      case LookAt.VKERNELS: {
        const vkernels = await ofAll(syslink, EndpointKind.VKERNEL, async (name) => {
          const client = syslink.client(VkernelService, { name });
          return (await client.listVkernels({}, { deadlineMs: ANSWER_MS })).vkernels;
        });
        return { vkernels: vkernels.filter((each) => each.user === user).slice(0, ITEMS_MAX) };
      }
      case LookAt.NODES: {
        const nodes = await ofAll(syslink, EndpointKind.PMAP, async (name) => [
          await syslink.client(PmapService, { name }).getNodeStats({}, { deadlineMs: ANSWER_MS }),
        ]);
        // Whose virtual kernels there are is for those alone.
        const told = nodes.map((each) => ({ ...each, vkernels: [] }));
        return { nodes: told.sort((a, b) => a.nodeIndex - b.nodeIndex).slice(0, ITEMS_MAX) };
      }
      case LookAt.MEMORY:
        return this.#memory(syslink, user, pid);
      default:
        return { errno: Errno.inval };
    }
  }

  async #memory(syslink: SyslinkEndpoint, user: string, pid: bigint): Promise<Looked> {
    const processes = await ofAll(syslink, EndpointKind.VKERNEL, (name) => processesOf(syslink, name, user));
    const process = processes.find((each) => each.pid === pid);
    if (process === undefined) return { errno: Errno.noent };
    const client = syslink.client(PmapService, { name: `${process.node}/pmapd` });
    for (let pageToken = ''; ; ) {
      const page = await client.listVmspaces({ pageSize: PAGE_ITEMS, pageToken }, { deadlineMs: ANSWER_MS });
      const found = page.vmspaces.find((each) => each.pid === pid);
      if (found !== undefined) return { vmspaces: [found] };
      pageToken = page.nextPageToken;
      if (pageToken === '') return {};
    }
  }
}

async function processesOf(syslink: SyslinkEndpoint, name: string, user: string) {
  const client = syslink.client(VkernelService, { name });
  const found = [];
  for (let pageToken = ''; found.length < ITEMS_MAX; ) {
    const page = await client.listProcesses({ pageSize: PAGE_ITEMS, pageToken }, { deadlineMs: ANSWER_MS });
    found.push(...page.processes.filter((each) => each.user === user));
    pageToken = page.nextPageToken;
    if (pageToken === '') break;
  }
  return found;
}

/** What all of a kind list; who does not answer is left out. */
async function ofAll<T>(
  syslink: SyslinkEndpoint,
  kind: EndpointKind,
  list: (name: string) => Promise<T[]>,
): Promise<T[]> {
  const names = (await syslink.listEndpoints()).filter((each) => each.kind === kind).map(({ name }) => name);
  const lists = await Promise.allSettled([...new Set(names)].map(list));
  return lists.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
}
