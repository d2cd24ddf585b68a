// Services: what the cluster keeps running, whatever dies.
import { createHash } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  ApplyResponse,
  KeeperService,
  Service,
  ServiceSpecSchema,
} from '@odonata/proto/service/v1/service';
import type { Client } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { anyOf } from './abort.ts';
import { clientError } from './client-error.ts';
import type { Connection } from './connection.ts';
import { overRouters } from './over-routers.ts';

const ANSWER_MS = 5_000;
const PART_BYTES = 256 * 1024;
export const PROGRAM_BYTES_MAX = 256 * PART_BYTES;

export type ServiceSpec = MessageInitShape<typeof ServiceSpecSchema>;
/** Of whom; absent: one's own. */
export interface ServiceName {
  name: string;
  user?: string | undefined;
}
interface Options {
  signal?: AbortSignal | undefined;
}

type Ask<T> = (
  keeper: Client<typeof KeeperService>,
  asked: { deadlineMs: number; signal: AbortSignal | undefined },
) => Promise<T>;

export class Services {
  readonly #to: Connection;

  constructor(to: Connection) {
    this.#to = to;
  }

  /** Keeps a program for services. @returns what a spec names it by */
  async putProgram(
    { name, module }: { name: string; module: Uint8Array },
    { signal }: Options = {},
  ): Promise<{ name: string; digest: string; bytes: bigint }> {
    const digest = createHash('sha256').update(module).digest('hex');
    for (let part = 0; part * PART_BYTES < module.length; part++) {
      const data = module.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
      await this.#ask(signal, (keeper, asked) => keeper.putProgram({ digest, part, data }, asked));
    }
    return { name, digest, bytes: BigInt(module.length) };
  }

  /** Makes it, or changes it. @throws RpcError INVALID_ARGUMENT, FAILED_PRECONDITION */
  apply(
    { name, spec, replicas }: { name: string; spec: ServiceSpec; replicas?: number | undefined },
    { signal }: Options = {},
  ): Promise<ApplyResponse> {
    const request = { name, spec, ...(replicas !== undefined && { replicas }) };
    return this.#ask(signal, (keeper, asked) => keeper.apply(request, asked));
  }

  /** By owner and name: all that one may see. */
  async list({ name = '', user = '', signal }: Options & Partial<ServiceName> = {}): Promise<Service[]> {
    return (await this.#ask(signal, (keeper, asked) => keeper.listServices({ name, user }, asked))).services;
  }

  /** One's own. */
  own({ signal }: Options = {}): Promise<Service[]> {
    return this.list({ user: this.#to.identity?.caller.name ?? '', signal });
  }

  /** @throws RpcError NOT_FOUND */
  async get({ name, user = '' }: ServiceName, { signal }: Options = {}): Promise<Service> {
    const own = user || this.#to.identity?.caller.name || '';
    const [found] = await this.list({ name, user: own, signal });
    if (found !== undefined) return found;
    throw await this.#noneOf({ name, user }, signal);
  }

  /** @throws RpcError NOT_FOUND */
  async scale({ name, user = '' }: ServiceName, replicas: number, { signal }: Options = {}): Promise<void> {
    await this.#named({ name, user }, signal, (keeper, asked) =>
      keeper.scale({ name, user, replicas }, asked),
    );
  }

  /** Replaces all replicas, one after the other. @throws RpcError NOT_FOUND */
  async restart({ name, user = '' }: ServiceName, { signal }: Options = {}): Promise<bigint> {
    const ask: Ask<{ generation: bigint }> = (keeper, asked) => keeper.restart({ name, user }, asked);
    return (await this.#named({ name, user }, signal, ask)).generation;
  }

  /** Its instances end by and by; it is listed until then. @throws RpcError NOT_FOUND */
  async remove({ name, user = '' }: ServiceName, { signal }: Options = {}): Promise<void> {
    await this.#named({ name, user }, signal, (keeper, asked) => keeper.remove({ name, user }, asked));
  }

  /** Of a service that is there already. @throws RpcError NOT_FOUND, which says whose there is */
  async #named<T>(which: Required<ServiceName>, signal: AbortSignal | undefined, ask: Ask<T>): Promise<T> {
    try {
      return await this.#ask(signal, ask);
    } catch (error) {
      throw RpcError.is(error, Code.NotFound) ? await this.#noneOf(which, signal) : error;
    }
  }

  /** One's own are meant unless somebody is named: others may have one of that name. */
  async #noneOf({ name, user }: ServiceName, signal: AbortSignal | undefined): Promise<RpcError> {
    const all = user ? [] : await this.list({ name, signal });
    const owners = [...new Set(all.map((each) => each.user))].sort();
    const [owner] = owners;
    const of = user ? ` of ${user}` : '';
    const more =
      owner === undefined
        ? 'vkctl service ls lists them'
        : `${owners.join(', ')} ${owners.length === 1 ? 'has' : 'have'} one: --user ${owner}`;
    return new RpcError(Code.NotFound, `no service ${JSON.stringify(name)}${of}; ${more}`);
  }

  /** At the first node that answers: any of them knows. */
  #ask<T>(signal: AbortSignal | undefined, ask: Ask<T>): Promise<T> {
    const either = anyOf(this.#to.closed, signal);
    const asked = { deadlineMs: ANSWER_MS, signal: either };
    return overRouters(
      this.#to,
      async () => {
        let silent: unknown = clientError(
          Code.Unavailable,
          'NO_NODE',
          { cluster: this.#to.cluster, node: '', nodes: '' },
          `no node of cluster "${this.#to.cluster}" has its vkerneld now`,
        );
        for (const { name, vkerneld } of await this.#to.nodes(either)) {
          if (vkerneld === undefined) continue;
          try {
            return await ask(this.#to.keeper(name), asked);
          } catch (error) {
            if (!RpcError.is(error, Code.Unavailable) && !RpcError.is(error, Code.DeadlineExceeded))
              throw error;
            silent = error;
          }
        }
        throw silent;
      },
      either,
    );
  }
}
