// The backing store of durable dataspaces in JetStream: a stream of chunks, a subject each, of which the stream keeps
// the last message.
//
// To store pages is to read their chunk, merge them into it, and publish it with the number of the message that was
// read: the server refuses it when another came between, and the merge is done again. So of two who sync one page at
// the same time the higher version stays, whichever is faster. `write` returns when the server has acknowledged every
// chunk, and throws otherwise; what it could not store, it does not report as stored.
import { apiCode, jetStreamError } from '@odonata/bus/jetstream-error.ts';
import type { StoreDisk } from '@odonata/bus/store-disk.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { JetStreamClient, JetStreamManager, NatsConnection } from 'nats';
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
import { expectNeverMade, isMissing, openStream, type StreamOptions, streamOf } from './store-stream.ts';

/** `cluster` separates clusters on one server, `replicas` are servers that keep each chunk. */
export interface PageStoreOptions extends StreamOptions {
  /** Of the server, where it is on this machine. */
  disk?: StoreDisk;
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
/** In what is said of it. */
const STORE = 'the backing store';
const REQUEST_MS = 5_000;
/** Error codes of JetStream. */
const WRONG_LAST_SEQUENCE = 10071;
const NO_MESSAGE = 10037;

export class PageStore {
  private readonly connection: NatsConnection;
  private readonly jetstream: JetStreamClient;
  private readonly manager: JetStreamManager;
  private readonly options: PageStoreOptions;
  /** The stream is there. */
  private stream: Promise<void> | undefined;

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

  /** The stream is made by the first who writes. @throws RpcError UNAVAILABLE, FAILED_PRECONDITION */
  static async open(connection: NatsConnection, options: PageStoreOptions): Promise<PageStore> {
    // Between two servers there is no limit to look at.
    if (!connection.info) throw jetStreamError(new Error('not connected'), STORE, options.disk);
    const payloadMax = connection.info.max_payload;
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
      return new PageStore(connection, connection.jetstream({ timeout }), manager, options);
    } catch (error) {
      throw jetStreamError(error, STORE, options.disk);
    }
  }

  /** Stores pages; returns when all are stored. @throws RpcError UNAVAILABLE, RESOURCE_EXHAUSTED, DATA_LOSS, ABORTED */
  async write(dataspace: bigint, pages: readonly PageToStore[]): Promise<void> {
    await this.opened();
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

  private async opened(): Promise<void> {
    this.stream ??= openStream(this.manager, this.options).catch((error) => {
      this.stream = undefined;
      throw this.failed(error);
    });
    await this.stream;
  }

  /** What an error of the server means; a stream that is gone is looked for again. */
  private failed(error: unknown): RpcError {
    this.stream = undefined;
    return jetStreamError(error, STORE, this.options.disk);
  }

  /** Nothing is stored where there never was a stream. @throws RpcError */
  private async expectMissing(error: unknown): Promise<void> {
    if (!isMissing(error)) throw this.failed(error);
    await expectNeverMade(this.options.ledger).catch((trouble) => {
      throw this.failed(trouble);
    });
  }

  private async chunkNumbers(dataspace: bigint): Promise<number[]> {
    try {
      const prefix = `odonata.${this.options.cluster}.pages.${dataspace}.`;
      const { state } = await this.manager.streams.info(streamOf(this.options.cluster), {
        subjects_filter: `${prefix}>`,
      });
      return Object.keys(state.subjects ?? {}).map((subject) => Number(subject.slice(prefix.length)));
    } catch (error) {
      await this.expectMissing(error);
      return [];
    }
  }

  /** Forgets a dataspace. @throws RpcError UNAVAILABLE */
  async remove(dataspace: bigint): Promise<void> {
    try {
      const filter = `odonata.${this.options.cluster}.pages.${dataspace}.>`;
      await this.manager.streams.purge(streamOf(this.options.cluster), { filter });
    } catch (error) {
      await this.expectMissing(error);
    }
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
    this.options.disk?.expectRoom(bytes.length, STORE);
    try {
      await this.jetstream.publish(this.subject(id), bytes, {
        expect: { lastSubjectSequence: lastSequence },
      });
      return true;
    } catch (error) {
      if (apiCode(error) === WRONG_LAST_SEQUENCE) return false;
      throw this.failed(error);
    }
  }

  /** `pages` undefined: it is torn. */
  private async readChunk(id: ChunkId): Promise<{ sequence: number; pages: Pages | undefined }> {
    const none = { sequence: 0, pages: new Map<number, StoredPage>() };
    if (this.connection.isClosed()) throw this.failed(new Error('the connection is closed'));
    try {
      const asked = { last_by_subj: this.subject(id) };
      const message = await this.manager.streams.getMessage(streamOf(this.options.cluster), asked);
      return { sequence: message.seq, pages: decodeChunk(id, message.data) };
    } catch (error) {
      if (apiCode(error) === NO_MESSAGE) return none;
      await this.expectMissing(error);
      return none;
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
