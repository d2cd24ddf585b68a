// What nodes are told of virtual kernels and folders is kept by the directory as well: for those that rest, are away or join later.
import type { VkernelNames, VkernelQuota } from '@odonata/proto/vkernel/v1/vkernel';
import { FolderWish, type WantedFolder, type WantedService } from '@odonata/proto/vkernel/v1/wanted';
import type { Client } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Connection } from './connection.ts';

const ANSWER_MS = 5_000;

/** `node` empty: all nodes, also those that come later. */
export interface WantedOf {
  name: string;
  user: string;
  node: string;
}

type Asked = { deadlineMs: number; signal: AbortSignal | undefined };

/** Each method answers undefined where the directory is of a release that keeps nothing. */
export class Wanted {
  readonly #to: Pick<Connection, 'wanted'>;

  constructor(to: Pick<Connection, 'wanted'>) {
    this.#to = to;
  }

  async keepVkernel(
    of: WantedOf,
    said: { quota: Partial<VkernelQuota>; names?: Omit<VkernelNames, '$typeName'> | undefined },
    signal?: AbortSignal,
  ): Promise<true | undefined> {
    const { quota, names } = said;
    const request = { ...of, quota, ...(names && { names }) };
    const kept = await this.#ask(signal, (to, asked) => to.wantVkernel(request, asked));
    return kept && true;
  }

  /** @returns whether something had been said */
  async forgetVkernel(of: WantedOf, signal?: AbortSignal): Promise<boolean | undefined> {
    return (await this.#ask(signal, (to, asked) => to.forgetVkernel(of, asked)))?.known;
  }

  /** @param away of what is taken away from all: who has not heard it. @returns whether something had been said of it */
  async keepFolder(
    of: { path: string; node: string; away?: readonly string[] },
    wish: 'write' | 'read' | 'none',
    signal?: AbortSignal,
  ): Promise<boolean | undefined> {
    const { path, node, away = [] } = of;
    const request = { path, node, wish: WISH[wish], away: [...away] };
    return (await this.#ask(signal, (to, asked) => to.wantFolder(request, asked)))?.known;
  }

  async folders(signal?: AbortSignal): Promise<WantedFolder[] | undefined> {
    return (await this.#ask(signal, (to, asked) => to.listWantedFolders({}, asked)))?.folders;
  }

  /** Of any replica: to say the same twice does no more than to say it once. */
  async #ask<T>(
    signal: AbortSignal | undefined,
    ask: (to: Client<typeof WantedService>, asked: Asked) => Promise<T>,
  ): Promise<T | undefined> {
    let last: unknown;
    for (const replica of await this.#to.wanted(signal)) {
      try {
        return await ask(replica, { deadlineMs: ANSWER_MS, signal });
      } catch (error) {
        if (RpcError.is(error, Code.Unimplemented)) return undefined;
        if (!RpcError.is(error, Code.Unavailable) && !RpcError.is(error, Code.DeadlineExceeded)) throw error;
        last = error;
      }
    }
    throw last ?? new RpcError(Code.Unavailable, 'no replica of the directory is there');
  }
}

const WISH = { write: FolderWish.WRITE, read: FolderWish.READ, none: FolderWish.NONE } as const;

/** What holds on a node. */
export function folderOn({ all, nodes }: WantedFolder, node: string): 'write' | 'read' | undefined {
  const wish = Object.hasOwn(nodes, node) ? nodes[node] : all;
  return wish === FolderWish.WRITE ? 'write' : wish === FolderWish.READ ? 'read' : undefined;
}
