// The memory of a cluster as a program has it: dataspaces that it opens, and maps where it runs on a node.
import { Code } from '@odonata/rpc/error.ts';
import { cancelled } from '../abort.ts';
import { clientError } from '../client-error.ts';
import type { Connection } from '../connection.ts';
import type { Dataspaces } from '../dataspaces.ts';
import { bytesOf } from '../numbers.ts';
import { Copier } from './copier.ts';
import { FarDataspace } from './far-dataspace.ts';
import { NearDataspace } from './near-dataspace.ts';
import { type NodeOfMachine, socketsOfNode } from './node-sockets.ts';
import type { OpenDataspace } from './open-dataspace.ts';
import { PmapLine } from './pmap-line.ts';

export interface OpenOptions extends NodeOfMachine {
  /** Copies only, as where no node is on this machine. */
  readonly far?: boolean;
  /** To make it with; absent: it must exist. */
  readonly sizeBytes?: number;
  /** With `sizeBytes`: it must not exist. */
  readonly exclusive?: boolean;
  /** With `sizeBytes`: with a backing store. */
  readonly durable?: boolean;
  /** What of it is mapped: from this byte on, a multiple of 4096; 0. */
  readonly offset?: number;
  /** So many bytes, 4 GiB at most; to its end. */
  readonly length?: number;
  readonly signal?: AbortSignal;
}

interface Here {
  readonly line: PmapLine;
  readonly copier: Copier;
}

export class Memory {
  readonly #to: Connection;
  readonly #of: { readonly to: Connection; readonly dataspaces: Dataspaces };
  /** By the address of a pmap manager. */
  readonly #lines = new Map<string, Here>();
  #closing: Promise<void> | undefined;

  constructor(to: Connection, dataspaces: Dataspaces) {
    this.#to = to;
    this.#of = { to, dataspaces };
    to.closed.addEventListener('abort', () => void this.close(), { once: true });
  }

  async open(name: string, options: OpenOptions = {}): Promise<OpenDataspace> {
    if (this.#to.closed.aborted) throw cancelled();
    const { sizeBytes = 0, exclusive = false, durable = false, offset = 0, length = 0, signal } = options;
    const sizes = { sizeBytes: bytesOf('sizeBytes', sizeBytes), exclusive, durable };
    const range = { offset: bytesOf('offset', offset), length: bytesOf('length', length) };
    const here = options.far ? undefined : this.#here(options);
    if (here === undefined)
      return await FarDataspace.open(this.#of, name, { sizeBytes, exclusive, durable, signal });
    const state = new Int32Array(new SharedArrayBuffer(4));
    return await NearDataspace.open(here, { name, ...sizes, ...range, state }, signal);
  }

  /** Undefined: far from any node. @throws RpcError FAILED_PRECONDITION where one was named that is not here */
  #here(options: NodeOfMachine): Here | undefined {
    const { cluster, tlsDir, identity } = this.#to;
    const sockets = socketsOfNode(cluster, options);
    if (sockets === undefined && options.node === undefined) return undefined;
    if (sockets === undefined)
      throw clientError(
        Code.FailedPrecondition,
        'NOT_ON_NODE',
        { cluster, node: options.node ?? '' },
        `no node ${options.node ?? ''} of cluster "${cluster}" is on this machine, as far as is known here: say where its sockets are (ODONATA_NODE_SOCKETS)`,
      );
    const known = this.#lines.get(sockets.pmap);
    if (known?.line.isOver === false) return known;
    const about = { address: `unix:${sockets.pmap}`, userfaultSocket: sockets.userfault, tlsDir };
    const person = identity?.caller.name ?? 'anyone';
    const made = { line: new PmapLine({ ...about, person }), copier: known?.copier ?? new Copier() };
    this.#lines.set(sockets.pmap, made);
    return made;
  }

  /** Once its connection is closed, too. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const lines = [...this.#lines.values()];
    this.#lines.clear();
    // First what is mapped: who waits there for a page cannot end.
    await Promise.all(lines.map(({ line }) => line.close()));
    await Promise.all(lines.map(({ copier }) => copier.close()));
  }
}
