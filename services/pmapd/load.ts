// A load of a dataspace: bytes from its start on, page by page, between a mark in the registry and its removal. Whatever
// breaks off leaves the mark, or, where the load made the dataspace, nothing.
import { randomBytes } from 'node:crypto';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { LoadRequest } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { SharedDataspace } from './memory/shared-dataspace.ts';
import type { Node } from './node.ts';
import type { Asked } from './sessions/asked.ts';

const PROGRESS_BYTES = 4 << 20;

export async function* loadDataspace(
  node: Node,
  requests: AsyncIterable<LoadRequest>,
  { log, ...asked }: Asked & { log: Logger },
): AsyncGenerator<{ loadedBytes: bigint; load?: bigint }> {
  let load: Load | undefined;
  let reported = 0n;
  let complete = false;
  try {
    for await (const request of requests) {
      if (load === undefined) {
        load = await Load.begin(node, request, asked);
        yield { loadedBytes: 0n, load: load.id };
      }
      load.skip(request.skipBytes);
      await load.write(request.data);
      complete ||= request.complete;
      if (load.loadedBytes - reported < PROGRESS_BYTES) continue;
      reported = load.loadedBytes;
      yield { loadedBytes: reported };
    }
    if (load === undefined) throw new RpcError(Code.InvalidArgument, 'the first message must carry the name');
    if (!complete) throw new RpcError(Code.DataLoss, 'the input was cut off: the last message is missing');
    await load.end();
  } catch (error) {
    complete = false;
    throw error;
  } finally {
    // Also where the caller went away: then the generator is returned from.
    if (load !== undefined && !load.ended) await load.abandon(log);
  }
  yield { loadedBytes: load.loadedBytes };
}

class Load {
  private readonly node: Node;
  private readonly dataspace: SharedDataspace;
  readonly id: bigint;
  /** Bytes of a page that has not come whole yet. */
  private rest: Uint8Array = new Uint8Array();
  private writtenBytes = 0n;
  ended = false;

  private constructor(node: Node, dataspace: SharedDataspace, id: bigint) {
    this.node = node;
    this.dataspace = dataspace;
    this.id = id;
  }

  static async begin(
    node: Node,
    { name, sizeBytes, loadBytes, mode, group }: LoadRequest,
    asked: Asked,
  ): Promise<Load> {
    // Never 0, which is none.
    const load = randomBytes(8).readBigUInt64LE() | 1n;
    const dataspace = await node.openings.beginLoad({ name, sizeBytes, loadBytes, load, mode, group }, asked);
    return new Load(node, dataspace, load);
  }

  get loadedBytes(): bigint {
    return this.writtenBytes + BigInt(this.rest.length);
  }

  /** These stay as they are. */
  skip(bytes: bigint): void {
    if (bytes === 0n) return;
    const { name, sizeBytes } = this.dataspace;
    if (bytes % BigInt(PAGE_BYTES) !== 0n || this.rest.length > 0)
      throw invalidField('skip_bytes', `whole pages of ${PAGE_BYTES} bytes, after whole pages, not ${bytes}`);
    if (this.writtenBytes + bytes > sizeBytes)
      throw new RpcError(Code.OutOfRange, `dataspace ${name} has ${sizeBytes} bytes; the input is longer`);
    this.writtenBytes += bytes;
  }

  /** Whole pages at once: what is LOST of these begins anew. */
  async write(data: Uint8Array): Promise<void> {
    if (data.length === 0) return;
    const { name, sizeBytes } = this.dataspace;
    if (this.loadedBytes + BigInt(data.length) > sizeBytes)
      throw new RpcError(Code.OutOfRange, `dataspace ${name} has ${sizeBytes} bytes; the input is longer`);
    const bytes = this.rest.length === 0 ? data : Buffer.concat([this.rest, data]);
    const whole = bytes.length - (bytes.length % PAGE_BYTES);
    await this.store(bytes.subarray(0, whole));
    this.rest = bytes.slice(whole);
  }

  private async store(data: Uint8Array): Promise<void> {
    if (data.length === 0) return;
    const { dataspace } = this;
    const from = Number(this.writtenBytes);
    const firstPage = from / PAGE_BYTES;
    const pageCount = Math.ceil(data.length / PAGE_BYTES);
    const toTheEnd = this.writtenBytes + BigInt(data.length) === dataspace.sizeBytes;
    const anew = { firstPage, pageCount: toTheEnd ? pageCount : Math.floor(data.length / PAGE_BYTES) };
    const write = (): void => dataspace.file.writeAt(from, data);
    await this.node.memory.withPages(dataspace, firstPage, pageCount, 'WRITE', write, anew);
    this.writtenBytes += BigInt(data.length);
  }

  async end(): Promise<void> {
    const { rest } = this;
    this.rest = new Uint8Array();
    await this.store(rest);
    const { id, name } = this.dataspace;
    const loadedBytes = this.writtenBytes;
    await this.node.openings.endLoad({ name, dataspace: id, load: this.id, loadedBytes });
    this.ended = true;
  }

  /** What it made goes; what was there before stays marked. */
  async abandon(log: Logger): Promise<void> {
    const { id, name } = this.dataspace;
    try {
      const removed = await this.node.openings.abandonLoad({ name, dataspace: id, load: this.id });
      log.warn({ dataspace: name, removed }, 'a load broke off');
    } catch (error) {
      // It stays marked as incomplete: the next load makes it anew.
      log.warn({ dataspace: name, err: error }, 'a load broke off, and what it left cannot be removed');
    }
  }
}
