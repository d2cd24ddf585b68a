// What /shared asks about dataspaces: of the pmap manager of this node, for the person whose the virtual kernel is. Bytes are read and
// written in the pages of this node, which are coherent with all others.

import { errnoOf } from '@odonata/pmap/wasi-errno.ts';
import { DataspaceService } from '@odonata/proto/pmap/v1/pmap';
import { createClient } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { Errno, WasiError } from '../wasi/errno.ts';

export interface DataspaceAbout {
  readonly id: bigint;
  readonly name: string;
  readonly sizeBytes: number;
  readonly owner: string;
  readonly mode: number;
}

/** What fails throws WasiError. */
export interface Dataspaces {
  list(): Promise<DataspaceAbout[]>;
  /** Undefined: there is none. */
  stat(name: string): Promise<DataspaceAbout | undefined>;
  create(name: string, sizeBytes: number): Promise<void>;
  remove(name: string): Promise<void>;
  read(name: string, offset: number, lengthBytes: number): Promise<Uint8Array>;
  /** Of no bytes at all: only whether it may be written. */
  write(name: string, offset: number, bytes: Uint8Array): Promise<void>;
}

const DEADLINE_MS = 20_000;
const PAGE_SIZE = 1_000;
/** Of one listing; a program reads no more names at once. */
const LISTED_MAX = 100_000;

interface WireDataspace {
  readonly id: bigint;
  readonly name: string;
  readonly sizeBytes: bigint;
  readonly owner: string;
  readonly mode: number;
}

const aboutOf = ({ id, name, sizeBytes, owner, mode }: WireDataspace): DataspaceAbout => ({
  id,
  name,
  owner,
  mode,
  sizeBytes: Number(sizeBytes),
});

/** @param address of the pmap manager, as unix:/run/pmapd.sock */
export function dataspacesOf(address: string): Dataspaces & { close(): void } {
  const client = createClient(DataspaceService, address);
  const how = { deadlineMs: DEADLINE_MS };
  return {
    async list() {
      const found: DataspaceAbout[] = [];
      let pageToken = '';
      do {
        const page = await told(client.list({ pageSize: PAGE_SIZE, pageToken }, how));
        found.push(...page.dataspaces.map(aboutOf));
        pageToken = page.nextPageToken;
      } while (pageToken !== '' && found.length < LISTED_MAX);
      return found;
    },
    async stat(name) {
      try {
        const { dataspace } = await client.stat({ name }, how);
        return dataspace && aboutOf(dataspace);
      } catch (error) {
        if (RpcError.is(error, Code.NotFound) || RpcError.is(error, Code.InvalidArgument)) return undefined;
        throw failure(error);
      }
    },
    async create(name, sizeBytes) {
      await told(client.create({ name, sizeBytes: BigInt(sizeBytes) }, how));
    },
    async remove(name) {
      await told(client.remove({ name }, how));
    },
    async read(name, offset, lengthBytes) {
      const pieces: Uint8Array[] = [];
      const asked = { name, offset: BigInt(offset), length: BigInt(lengthBytes) };
      try {
        for await (const { data } of client.save(asked, how)) pieces.push(data);
      } catch (error) {
        throw failure(error);
      }
      return Buffer.concat(pieces);
    },
    async write(name, offset, data) {
      await told(client.write({ name, offset: BigInt(offset), data }, how));
    },
    close: () => client.close(),
  };
}

async function told<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw failure(error);
  }
}

function failure(error: unknown): unknown {
  if (!RpcError.is(error)) return error;
  if (error.detail('google.rpc.QuotaFailure') !== undefined) return new WasiError(Errno.dquot);
  if (error.code === Code.ResourceExhausted) return new WasiError(Errno.nospc);
  return new WasiError(errnoOf(error.code));
}
