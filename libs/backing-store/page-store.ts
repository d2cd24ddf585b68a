// The backing store of durable dataspaces in JetStream: a stream of chunks, a subject each, of which the stream keeps
// the last message.
//
// To store pages is to read their chunk, merge them into it, and publish it with the number of the message that was
// read: the server refuses it when another came between, and the merge is done again. So of two who sync one page at
// the same time the higher version stays, whichever is faster. `write` returns when the server has acknowledged every
// chunk, and throws otherwise; what it could not store, it does not report as stored.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import {
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection,
  NatsError,
  StorageType,
} from 'nats';
import {
  byChunk,
  CHUNK_BYTES_MAX,
  CHUNK_PAGES,
  type ChunkId,
  chunkOf,
  decodeChunk,
  encodeChunk,
  isIntact,
  mergePages,
  type Pages,
  piecesOf,
  type StoredPage,
  sealPage,
} from './chunk.ts';

export interface PageStoreOptions {
  /** Separates clusters on one server. */
  cluster: string;
  /** Servers that keep each chunk. */
  replicas: number;
  /** What the store may take of the server's disk. */
  bytesMax: number;
  /** How long one request may take; default 5000. */
  requestMs?: number;
}

/** Pages of one dataspace. */
export interface PageToStore {
  page: number;
  version: bigint;
  /** They do not change while they are stored. */
  bytes: Uint8Array;
}

export type PageRead =
  | { page: number; state: 'NEVER_STORED' }
  | { page: number; state: 'INTACT'; version: bigint; bytes: Uint8Array }
  /** It was stored, and what the store has of it fails its checksum. */
  | { page: number; state: 'CORRUPT' };

/** Who meets others at one chunk more often than this gives up. */
const TRIES_MAX = 20;
const REQUEST_MS = 5_000;
/** Error codes of JetStream. */
const WRONG_LAST_SEQUENCE = 10071;
const NO_MESSAGE = 10037;
const STREAM_IS_FULL = new Set([10077, 10047, 10023]);

export class PageStore {
  private readonly connection: NatsConnection;
  private readonly jetstream: JetStreamClient;
  private readonly manager: JetStreamManager;
  private readonly options: PageStoreOptions;

  private constructor(
    connection: NatsConnection,
    jetstream: JetStreamClient,
    manager: JetStreamManager,
    options: PageStoreOptions,
  ) {
    this.connection = connection;
    this.jetstream = jetstream;
    this.manager = manager;
    this.options = options;
  }

  /** Makes the stream where it does not exist. @throws RpcError UNAVAILABLE, FAILED_PRECONDITION */
  static async open(connection: NatsConnection, options: PageStoreOptions): Promise<PageStore> {
    const payloadMax = connection.info?.max_payload ?? 0;
    if (payloadMax < CHUNK_BYTES_MAX) {
      const fix = `set max_payload to at least ${CHUNK_BYTES_MAX} in its configuration`;
      throw new RpcError(
        Code.FailedPrecondition,
        `the NATS server takes messages of ${payloadMax} bytes; ${fix}`,
      );
    }
    const timeout = options.requestMs ?? REQUEST_MS;
    try {
      const manager = await connection.jetstreamManager({ timeout });
      await manager.streams.add({
        name: `odonata-${options.cluster}-pages`,
        subjects: [`odonata.${options.cluster}.pages.>`],
        storage: StorageType.File,
        max_msgs_per_subject: 1,
        max_bytes: options.bytesMax,
        discard: 'new' as never,
        num_replicas: options.replicas,
        allow_direct: false,
      });
      return new PageStore(connection, connection.jetstream({ timeout }), manager, options);
    } catch (error) {
      throw unavailable(error);
    }
  }

  /** Stores pages; returns when all are stored. @throws RpcError UNAVAILABLE, RESOURCE_EXHAUSTED, DATA_LOSS, ABORTED */
  async write(dataspace: bigint, pages: readonly PageToStore[]): Promise<void> {
    const sealed = new Map(pages.map((p) => [p.page, sealPage(dataspace, p.page, p.version, p.bytes)]));
    for (const [number, ofChunk] of byChunk(sealed)) await this.writeChunk({ dataspace, number }, ofChunk);
  }

  /** Reads pages, in order. @throws RpcError UNAVAILABLE */
  async read(dataspace: bigint, firstPage: number, pageCount: number): Promise<PageRead[]> {
    const found: PageRead[] = [];
    for (const piece of piecesOf(firstPage, pageCount)) {
      const chunk = await this.readChunk({ dataspace, number: chunkOf(piece.firstPage) });
      for (let i = 0; i < piece.pageCount; i++) found.push(readPage(dataspace, piece.firstPage + i, chunk));
    }
    return found;
  }

  /** Reads all that is stored of a dataspace. A torn chunk counts as one corrupt page. @throws RpcError UNAVAILABLE */
  async check(dataspace: bigint): Promise<{ storedPages: number; corruptPages: number }> {
    let [storedPages, corruptPages] = [0, 0];
    for (const number of await this.chunkNumbers(dataspace)) {
      const { pages } = await this.readChunk({ dataspace, number });
      if (pages === undefined) corruptPages++;
      for (const [page, stored] of pages ?? []) {
        if (isIntact(dataspace, page, stored)) storedPages++;
        else corruptPages++;
      }
    }
    return { storedPages, corruptPages };
  }

  private async chunkNumbers(dataspace: bigint): Promise<number[]> {
    try {
      const prefix = `odonata.${this.options.cluster}.pages.${dataspace}.`;
      const { state } = await this.manager.streams.info(this.stream, { subjects_filter: `${prefix}>` });
      return Object.keys(state.subjects ?? {}).map((subject) => Number(subject.slice(prefix.length)));
    } catch (error) {
      throw unavailable(error);
    }
  }

  /** Forgets a dataspace. @throws RpcError UNAVAILABLE */
  async remove(dataspace: bigint): Promise<void> {
    try {
      const filter = `odonata.${this.options.cluster}.pages.${dataspace}.>`;
      await this.manager.streams.purge(this.stream, { filter });
    } catch (error) {
      throw unavailable(error);
    }
  }

  private get stream(): string {
    return `odonata-${this.options.cluster}-pages`;
  }

  private subject({ dataspace, number }: ChunkId): string {
    return `odonata.${this.options.cluster}.pages.${dataspace}.${number}`;
  }

  private async writeChunk(id: ChunkId, pages: Pages): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const before = await this.readChunk(id);
      if (before.pages === undefined && pages.size < CHUNK_PAGES) {
        const range = `pages ${id.number * CHUNK_PAGES} to ${(id.number + 1) * CHUNK_PAGES - 1}`;
        const fix = 'sync all of them at once to replace it';
        throw new RpcError(
          Code.DataLoss,
          `the stored ${range} of dataspace ${id.dataspace} are corrupt; ${fix}`,
        );
      }
      const after = mergePages(id.dataspace, before.pages ?? new Map(), pages);
      if (after === undefined) return;
      if (await this.publish(id, encodeChunk(id, after), before.sequence)) return;
    }
    throw new RpcError(Code.Aborted, `others sync the same pages of dataspace ${id.dataspace}; try again`);
  }

  /** False: another message came between. */
  private async publish(id: ChunkId, bytes: Uint8Array, lastSequence: number): Promise<boolean> {
    try {
      await this.jetstream.publish(this.subject(id), bytes, {
        expect: { lastSubjectSequence: lastSequence },
      });
      return true;
    } catch (error) {
      const code = apiCode(error);
      if (code === WRONG_LAST_SEQUENCE) return false;
      if (code === undefined || !STREAM_IS_FULL.has(code)) throw unavailable(error);
      const limit = `${this.options.bytesMax} bytes`;
      throw new RpcError(
        Code.ResourceExhausted,
        `the backing store is full (${limit}, or the server's own limit); remove durable dataspaces or raise it`,
        { cause: error },
      );
    }
  }

  /** `pages` undefined: it is torn. */
  private async readChunk(id: ChunkId): Promise<{ sequence: number; pages: Pages | undefined }> {
    if (this.connection.isClosed()) throw unavailable(new Error('the connection is closed'));
    try {
      const message = await this.manager.streams.getMessage(this.stream, { last_by_subj: this.subject(id) });
      return { sequence: message.seq, pages: decodeChunk(id, message.data) };
    } catch (error) {
      if (apiCode(error) === NO_MESSAGE) return { sequence: 0, pages: new Map<number, StoredPage>() };
      throw unavailable(error);
    }
  }
}

function readPage(dataspace: bigint, page: number, chunk: { pages: Pages | undefined }): PageRead {
  if (chunk.pages === undefined) return { page, state: 'CORRUPT' };
  const stored = chunk.pages.get(page);
  if (stored === undefined) return { page, state: 'NEVER_STORED' };
  if (!isIntact(dataspace, page, stored)) return { page, state: 'CORRUPT' };
  return { page, state: 'INTACT', version: stored.version, bytes: stored.bytes };
}

function apiCode(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}

function unavailable(error: unknown): RpcError {
  const why = error instanceof Error ? error.message : String(error);
  return tryAgain(
    Code.Unavailable,
    `the backing store does not answer (${why}); try again when the NATS server with JetStream is back`,
    { cause: error },
  );
}
