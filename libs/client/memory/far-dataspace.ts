// A dataspace that is open in a program that is far from any node: copies, through the pmap manager of a node.
import { EventEmitter } from 'node:events';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { clientError } from '../client-error.ts';
import type { Connection } from '../connection.ts';
import { saveDataspace, writeDataspace } from '../dataspace-bytes.ts';
import type { Dataspaces } from '../dataspaces.ts';
import { bytesOf } from '../numbers.ts';
import type { DataspaceEvents, HeldLock, OpenDataspace, WaitEnd } from './open-dataspace.ts';

interface FarOptions {
  readonly sizeBytes: number;
  readonly exclusive: boolean;
  readonly durable: boolean;
  readonly signal?: AbortSignal;
}

export class FarDataspace extends EventEmitter<DataspaceEvents> implements OpenDataspace {
  readonly name: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly isNear = false;
  readonly broken = undefined;
  readonly #to: Connection;
  readonly #dataspaces: Dataspaces;
  #closed = false;

  static async open(
    { to, dataspaces }: { to: Connection; dataspaces: Dataspaces },
    name: string,
    { sizeBytes, exclusive, durable, signal }: FarOptions,
  ): Promise<FarDataspace> {
    if (sizeBytes > 0)
      await dataspaces.create(name, sizeBytes, { durable, signal }).catch((error) => {
        if (exclusive || !RpcError.is(error, Code.AlreadyExists)) throw error;
      });
    const directory = await to.directory(signal);
    const { dataspace, allowed } = await directory.getDataspace({ name, withoutUsage: true }, { signal });
    const there = Number(dataspace!.sizeBytes);
    if (sizeBytes > 0 && sizeBytes !== there)
      throw new RpcError(
        Code.AlreadyExists,
        `dataspace ${name} exists with ${there} bytes, not ${sizeBytes}`,
      );
    return new FarDataspace({ to, dataspaces }, name, there, allowed?.write === false);
  }

  private constructor(
    { to, dataspaces }: { to: Connection; dataspaces: Dataspaces },
    name: string,
    sizeBytes: number,
    readOnly: boolean,
  ) {
    super();
    this.#to = to;
    this.#dataspaces = dataspaces;
    this.name = name;
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
  }

  async map(): Promise<SharedArrayBuffer> {
    throw this.#tooFar('its memory is');
  }

  async use<T>(): Promise<T> {
    throw this.#tooFar('its memory is');
  }

  expectWhole(): void {
    if (!this.#closed) return;
    throw new RpcError(Code.FailedPrecondition, `dataspace ${this.name} was closed`);
  }

  async read(offset = 0, length = this.sizeBytes - offset): Promise<Uint8Array<ArrayBuffer>> {
    this.expectWhole();
    this.#expectWithin(offset, length);
    const bytes = new Uint8Array(length);
    if (length === 0) return bytes;
    let at = 0;
    const node = await this.#to.answeringNode(undefined, this.#to.closed);
    const pieces = saveDataspace(this.#to, node, this.name, { offset, length, signal: this.#to.closed });
    for await (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    this.expectWhole();
    this.#expectWithin(offset, bytes.length);
    const node = await this.#to.answeringNode(undefined, this.#to.closed);
    await writeDataspace(this.#to, node, { name: this.name, offset, bytes }, this.#to.closed);
  }

  async sync({ offset = 0, length = 0 }: { offset?: number; length?: number } = {}): Promise<void> {
    this.expectWhole();
    const range = { offset: bytesOf('offset', offset), length: bytesOf('length', length) };
    await this.#dataspaces.sync(this.name, { range });
  }

  async lock(): Promise<HeldLock> {
    throw this.#tooFar('its locks are');
  }

  async wait(): Promise<WaitEnd> {
    throw this.#tooFar('waits are');
  }

  async wake(): Promise<number> {
    throw this.#tooFar('waits are');
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #expectWithin(offset: number, length: number): void {
    if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0)
      if (offset + length <= this.sizeBytes) return;
    throw new RpcError(
      Code.OutOfRange,
      `dataspace ${this.name} has ${this.sizeBytes} bytes; not ${offset} + ${length}`,
    );
  }

  #tooFar(what: string): RpcError {
    const { cluster } = this.#to;
    return clientError(
      Code.FailedPrecondition,
      'NOT_ON_NODE',
      { cluster, node: '' },
      `${what} for programs on a node, and no node of cluster "${cluster}" is on this machine, as far as is known here: this one has read and write (or say where the sockets of its node are: ODONATA_NODE_SOCKETS)`,
    );
  }
}
