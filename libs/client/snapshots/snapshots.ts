// Snapshots of programs: durable dataspaces, whose first page says what they are, and whose rest is a module.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Dataspace } from '@odonata/proto/coherency/v1/coherency';
import type { SnapshotHeld, SnapshotRequestSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { anyOf } from '../abort.ts';
import type { Connection } from '../connection.ts';
import { saveDataspace } from '../dataspace-bytes.ts';
import type { Dataspaces } from '../dataspaces.ts';
import { overRouters } from '../over-routers.ts';
import { nodeOfPid } from '../process-id.ts';
import type { ModuleByDigest } from '../program-run.ts';
import {
  decodeHeader,
  encodeHeader,
  HEADER_BYTES,
  MODULE_BYTES_MAX,
  type SnapshotHeader,
  sha256Of,
} from './header.ts';
import { readMemory } from './memory.ts';
import { snapshotModule } from './module.ts';

const TIMEOUT_MS = 30_000;
/** Of the answers beside the wait for the point: the memory is read meanwhile. */
const REST_MS = 90_000;
const READ_MS = 30_000;
const LOOK_AT_ONCE = 8;

export interface Snapshot extends SnapshotHeader {
  readonly name: string;
  readonly owner: string;
}

export interface TakeOptions {
  /** How long it may take until the program comes to a point; 30 s. */
  timeoutMs?: number;
  /** Says what is being done: waits, reads, stores. */
  onProgress?: (doing: string) => void;
  signal?: AbortSignal;
}

export class Snapshots {
  readonly #to: Connection;
  readonly #dataspaces: Dataspaces;

  constructor(to: Connection, dataspaces: Dataspaces) {
    this.#to = to;
    this.#dataspaces = dataspaces;
  }

  /**
   * Takes one of a process at its next point, and stores it under a name that nobody has.
   * @throws RpcError FAILED_PRECONDITION: there can be none of it, and why; DEADLINE_EXCEEDED: it came to no point;
   * ALREADY_EXISTS; NOT_FOUND
   */
  async take(pid: bigint, name: string, options: TakeOptions = {}): Promise<Snapshot & { heldMs: number }> {
    const signal = this.#signal(options.signal);
    const node = await overRouters(this.#to, () => nodeOfPid(this.#to, pid, signal), signal);
    await this.#expectNew(name, options.signal);
    const { module, header, heldMs } = await this.#read(node, pid, options);
    options.onProgress?.(`stores ${name}`);
    const owner = await this.#store(name, module, header, options.signal);
    return { name, owner, ...header, heldMs };
  }

  /** All that one may read, by name. */
  async list({ signal }: { signal?: AbortSignal } = {}): Promise<Snapshot[]> {
    const records = (await this.#dataspaces.records({ ...(signal && { signal }) })).filter(
      ({ durable, load }) => durable && load === undefined,
    );
    const found: Snapshot[] = [];
    const left = [...records];
    const look = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const { name, owner } = next;
        const header = await this.#headerOf(next, signal).catch(unlessGone);
        if (header !== undefined) found.push({ name, owner, ...header });
      }
    };
    await Promise.all(Array.from({ length: LOOK_AT_ONCE }, look));
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws RpcError NOT_FOUND; FAILED_PRECONDITION: it is no snapshot */
  async remove(name: string, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    await this.#expectHeader(name, signal);
    await this.#dataspaces.remove(name, { ...(signal && { signal }) });
  }

  /**
   * What a program is started from: its module, which is fetched only where its virtual kernel does not have it.
   * @throws RpcError NOT_FOUND; FAILED_PRECONDITION: it is no snapshot
   */
  async open(
    name: string,
    options: { signal?: AbortSignal } = {},
  ): Promise<{ header: SnapshotHeader; module: ModuleByDigest }> {
    const header = await this.#expectHeader(name, options.signal);
    const bytes = (): Promise<Uint8Array> => this.#module(name, header, options.signal);
    return { header, module: { sha256: Buffer.from(header.sha256, 'hex'), bytes } };
  }

  async #module(
    name: string,
    { moduleBytes, sha256 }: SnapshotHeader,
    given?: AbortSignal,
  ): Promise<Uint8Array> {
    const module = Buffer.alloc(moduleBytes);
    let at = 0;
    const signal = this.#signal(given);
    const node = await this.#to.answeringNode(undefined, signal);
    const range = { offset: HEADER_BYTES, length: moduleBytes, ...(signal && { signal }) };
    for await (const piece of saveDataspace(this.#to, node, name, range)) {
      module.set(piece, at);
      at += piece.length;
    }
    if (sha256Of(module) !== sha256)
      throw new RpcError(Code.DataLoss, `snapshot "${name}" is spoilt: its checksum is another one`);
    return module;
  }

  async #headerOf({ name, sizeBytes }: Dataspace, given?: AbortSignal): Promise<SnapshotHeader | undefined> {
    if (sizeBytes < BigInt(HEADER_BYTES)) return undefined;
    const signal = this.#signal(given);
    const node = await this.#to.answeringNode(undefined, signal);
    const page = Buffer.alloc(HEADER_BYTES);
    let at = 0;
    for await (const piece of saveDataspace(this.#to, node, name, {
      length: HEADER_BYTES,
      ...(signal && { signal }),
    })) {
      page.set(piece, at);
      at += piece.length;
    }
    const header = decodeHeader(page);
    return header !== undefined && BigInt(HEADER_BYTES + header.moduleBytes) <= sizeBytes
      ? header
      : undefined;
  }

  async #expectHeader(name: string, signal?: AbortSignal): Promise<SnapshotHeader> {
    const record = await this.#record(name, signal);
    if (record === undefined)
      throw new RpcError(
        Code.NotFound,
        `no snapshot "${name}" that you may read: vkctl snapshot ls shows those that there are`,
      );
    const header = await this.#headerOf(record, signal);
    if (header !== undefined) return header;
    throw new RpcError(
      Code.FailedPrecondition,
      `dataspace "${name}" is no snapshot: vkctl snapshot ls shows those that there are`,
    );
  }

  async #expectNew(name: string, signal?: AbortSignal): Promise<void> {
    if ((await this.#record(name, signal)) !== undefined)
      throw new RpcError(
        Code.AlreadyExists,
        `dataspace "${name}" is there already: vkctl ds rm ${name} makes room, or take another name`,
      );
  }

  async #record(name: string, signal?: AbortSignal): Promise<Dataspace | undefined> {
    const records = await this.#dataspaces.records({ ...(signal && { signal }) });
    return records.find((each) => each.name === name);
  }

  async #read(
    node: string,
    pid: bigint,
    { timeoutMs = TIMEOUT_MS, onProgress, signal: given }: TakeOptions,
  ): Promise<{ module: Uint8Array<ArrayBuffer>; header: SnapshotHeader; heldMs: number }> {
    const leaving = new AbortController();
    const signal = AbortSignal.any([
      leaving.signal,
      ...[this.#signal(given)].filter((each) => each !== undefined),
    ]);
    const done = Promise.withResolvers<void>();
    async function* requests(): AsyncIterable<MessageInitShape<typeof SnapshotRequestSchema>> {
      yield { event: { case: 'begin', value: { pid, timeoutMs } } };
      await done.promise;
      yield { event: { case: 'done', value: {} } };
    }
    const deadlineMs = timeoutMs + REST_MS;
    const responses = this.#to.vkerneld(node).snapshot(requests(), { signal, deadlineMs });
    const memory = Promise.withResolvers<Awaited<ReturnType<typeof readMemory>>>();
    memory.promise.catch(() => {});
    const pieces: Uint8Array[] = [];
    let held: SnapshotHeld | undefined;
    let left = 0;
    let beganMs = 0;
    let heldMs: number | undefined;
    onProgress?.('waits for a point of the program');
    try {
      for await (const { event } of responses) {
        if (event.case === 'held') {
          held = event.value;
          left = held.moduleBytes;
          beganMs = performance.now();
          onProgress?.('reads its memory');
          const { vmspace } = held;
          const read = async (address: number, length: number): Promise<Uint8Array> => {
            const request = { vmspace, address: BigInt(address), length };
            return (await this.#to.vmspaces(node).vmspacePread(request, { signal, deadlineMs: READ_MS }))
              .data;
          };
          const most = MODULE_BYTES_MAX - held.moduleBytes;
          readMemory(held.memoryPages * 65_536, read, most).then(memory.resolve, memory.reject);
        } else if (event.case === 'module') {
          pieces.push(event.value);
          left -= event.value.length;
        } else if (event.case === 'released') heldMs = Math.round(performance.now() - beganMs);
        if (held === undefined || left > 0 || heldMs !== undefined) continue;
        await memory.promise;
        done.resolve();
      }
    } finally {
      leaving.abort();
      done.resolve();
    }
    if (heldMs === undefined || held === undefined)
      throw new RpcError(Code.Aborted, `process ${pid} was not held until all of its memory was read`);
    const { spans, pages } = await memory.promise;
    const module = snapshotModule(new Uint8Array(Buffer.concat(pieces)), {
      ...{ memoryPages: held.memoryPages, globals: held.globals, spans },
    });
    if (module.length > MODULE_BYTES_MAX || !WebAssembly.validate(module))
      throw new RpcError(Code.Internal, `the snapshot of process ${pid} is no module that runs`);
    const header = {
      ...{
        moduleBytes: module.length,
        sha256: sha256Of(module),
        program: held.program,
        takenAtMs: Date.now(),
      },
      ...{ memoryBytes: held.memoryPages * 65_536, pages },
    };
    return { module, header, heldMs };
  }

  /** Whole, or not there. @returns whose it is */
  async #store(
    name: string,
    module: Uint8Array,
    header: SnapshotHeader,
    given?: AbortSignal,
  ): Promise<string> {
    const through = { ...(given && { signal: given }) };
    const sizeBytes = HEADER_BYTES + module.length;
    const made = await this.#dataspaces.create(name, sizeBytes, { durable: true, ...through });
    try {
      async function* content(): AsyncIterable<Uint8Array> {
        yield encodeHeader(header);
        yield module;
      }
      await this.#dataspaces.load(name, content(), { lengthBytes: sizeBytes, ...through });
      await this.#dataspaces.sync(name, through);
      return made?.owner ?? '';
    } catch (error) {
      await this.#dataspaces.remove(name).catch(() => {});
      throw error;
    }
  }

  #signal(signal: AbortSignal | undefined): AbortSignal | undefined {
    return anyOf(this.#to.closed, signal);
  }
}

/** What is removed meanwhile, or may not be read, is none of ours. @throws unknown */
function unlessGone(error: unknown): undefined {
  if (
    RpcError.is(error, Code.NotFound) ||
    RpcError.is(error, Code.PermissionDenied) ||
    RpcError.is(error, Code.FailedPrecondition)
  )
    return undefined;
  throw error;
}
