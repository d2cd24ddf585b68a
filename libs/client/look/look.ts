// One look at a whole cluster: what everybody says who answers, asked at once.

import type { GetDirectoryStatsResponse } from '@odonata/proto/coherency/v1/coherency';
import type { GetNodeStatsResponse, Vmspace } from '@odonata/proto/pmap/v1/pmap';
import { type Endpoint, EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import type { Process, Vkernel } from '@odonata/proto/vkernel/v1/vkernel';
import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import type { Cluster } from '../cluster.ts';
import type { DataspaceDetail } from '../dataspace-detail.ts';

export interface NodeLook {
  name: string;
  stats?: GetNodeStatsResponse | undefined;
  vkernels: Vkernel[];
}

export interface Look {
  cluster: string;
  atMs: number;
  nodes: NodeLook[];
  directory: GetDirectoryStatsResponse[];
  /** As a router knows them. */
  endpoints: Endpoint[];
  processes: Process[];
  vmspaces: Vmspace[];
  dataspaces: Asked[];
  silent: string[];
}

/** A dataspace, and when its directory said so. */
export interface Asked {
  atMs: number;
  detail: DataspaceDetail;
}

const ASK_MS = 3_000;
/** Where somebody was silent at the last look. */
const ASK_AGAIN_MS = 1_000;
/** Of so many a look asks where their pages are: of more than that in turns, and of the hottest each time. */
const DATASPACES_A_LOOK = 64;
const HOT_A_LOOK = 16;

export class Looks {
  readonly #to: Cluster;
  #asked = new Map<string, Asked>();
  #next = 0;
  #askMs = ASK_MS;

  readonly #explain: (error: unknown) => string;

  /** @param explain what somebody answered, in a line */
  constructor(to: Cluster, explain: (error: unknown) => string) {
    this.#to = to;
    this.#explain = explain;
  }

  /** @param hot names of dataspaces that are asked for in any case, the hottest first */
  async look(hot: readonly string[] = []): Promise<Look> {
    const { connection, programs, name } = this.#to;
    const silent: string[] = [];
    const missing = (what: string) => (error: unknown) => {
      silent.push(`${what}: ${this.#explain(error)}`);
      return undefined;
    };
    const askMs = this.#askMs;
    const options = { deadlineMs: askMs };
    const atMs = Date.now();
    const [endpoints, known] = await Promise.all([connection.listEndpoints(), connection.nodes()]);
    const replicas = endpoints.filter(({ kind }) => kind === EndpointKind.DIRECTORY);
    const [nodes, directory, listed, found, dataspaces] = await Promise.all([
      Promise.all(
        known.map(async ({ name }): Promise<NodeLook> => {
          const [stats, vkernels] = await Promise.all([
            connection
              .pmapd(name)
              .getNodeStats({}, options)
              .catch(missing(`${name}/pmapd`)),
            connection
              .vkerneld(name)
              .listVkernels({}, options)
              .catch(missing(`${name}/vkerneld`)),
          ]);
          return { name, stats, vkernels: vkernels?.vkernels.filter(({ hostPid }) => hostPid > 0) ?? [] };
        }),
      ),
      Promise.all(
        replicas.map(({ name }) => connection.cohd(name).getDirectoryStats({}, options).catch(missing(name))),
      ),
      programs.list({ answerMs: askMs }).catch(missing('processes')),
      programs.vmspaces({ answerMs: askMs }).catch(missing('vmspaces')),
      this.#dataspaces(hot).catch(missing('dataspaces')),
    ]);
    this.#askMs = silent.length > 0 ? ASK_AGAIN_MS : ASK_MS;
    return {
      ...{ cluster: name, atMs, nodes, endpoints, silent: [...new Set(silent)] },
      directory: directory.filter((stats) => stats !== undefined),
      processes: (listed?.processes ?? []).filter(({ state }) => state !== ProcessState.EXITED),
      vmspaces: found?.vmspaces ?? [],
      dataspaces: dataspaces ?? [...this.#asked.values()],
    };
  }

  async #dataspaces(hot: readonly string[]): Promise<Asked[]> {
    const { dataspaces } = this.#to;
    const names = (await dataspaces.records({ deadlineMs: ASK_MS })).map(({ name }) => name);
    const turn = Array.from(
      { length: Math.min(DATASPACES_A_LOOK, names.length) },
      (_, i) => names[(this.#next + i) % names.length]!,
    );
    this.#next = names.length === 0 ? 0 : (this.#next + turn.length) % names.length;
    const wanted = new Set([...turn, ...hot.slice(0, HOT_A_LOOK)]);
    const there = new Set(names);
    const signal = AbortSignal.timeout(ASK_MS);
    const answers = await Promise.all(
      [...wanted]
        .filter((name) => there.has(name))
        // One that was removed meanwhile, or that one may not read, has nothing to tell.
        .map((name) => dataspaces.stat(name, { signal }).catch(() => undefined)),
    );
    const atMs = Date.now();
    for (const detail of answers) if (detail) this.#asked.set(detail.dataspace.name, { atMs, detail });
    for (const name of this.#asked.keys()) if (!there.has(name)) this.#asked.delete(name);
    return [...this.#asked.values()];
  }
}
