// The bytes of a dataspace, in and out, through the pmap manager of a node.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Connection } from './connection.ts';
import { Silence } from './silence.ts';

const PIECE_BYTES = 2 ** 20;

export interface LoadOptions {
  name: string;
  /** To make it with; 0: it must exist. */
  sizeBytes: number;
  /** So many bytes must come; 0, or missing: as many as there are. */
  loadBytes?: number;
  /** To make it with. */
  mode?: number | undefined;
  group?: string | undefined;
  /** A number: so many bytes, whole pages after whole pages, stay as they are. */
  bytes: AsyncIterable<Uint8Array | number>;
  onProgress?: (loadedBytes: number) => void;
  /** It began, under this name. */
  onBegun?: (load: bigint) => void;
  signal?: AbortSignal;
}

/** Writes bytes into a dataspace from its start: all, or what broke off does not look whole. Returns how many. */
export async function loadDataspace(to: Connection, node: string, options: LoadOptions): Promise<number> {
  const { name, loadBytes = 0, mode, group } = options;
  const silence = new Silence(`the load of "${name}" through ${node}`, options.signal);
  let loadedBytes = 0;
  async function* requests() {
    let sentBytes = 0;
    yield { name, sizeBytes: BigInt(options.sizeBytes), loadBytes: BigInt(loadBytes), mode, group };
    // How long the bytes take is the caller's matter.
    silence.paused();
    for await (const chunk of options.bytes) {
      silence.heard();
      const length = typeof chunk === 'number' ? chunk : chunk.length;
      // Told before they are sent: an input may have no end.
      if (loadBytes > 0 && sentBytes + length > loadBytes)
        throw new RpcError(
          Code.OutOfRange,
          `the input has more than the ${loadBytes} bytes that were to come`,
        );
      if (typeof chunk === 'number') yield { skipBytes: BigInt(chunk) };
      else
        for (let at = 0; at < chunk.length; at += PIECE_BYTES)
          yield { data: chunk.subarray(at, at + PIECE_BYTES) };
      sentBytes += length;
      silence.paused();
    }
    if (loadBytes > 0 && sentBytes !== loadBytes)
      throw new RpcError(Code.DataLoss, `the input ended after ${sentBytes} of ${loadBytes} bytes`);
    silence.heard();
    yield { complete: true };
  }
  try {
    for await (const response of to.dataspaces(node).load(requests(), { signal: silence.signal })) {
      if (response.load !== 0n) {
        options.onBegun?.(response.load);
        continue;
      }
      loadedBytes = Number(response.loadedBytes);
      options.onProgress?.(loadedBytes);
    }
  } catch (error) {
    throw silence.errorOf(error);
  } finally {
    silence.end();
  }
  return loadedBytes;
}

export interface SaveOptions {
  incomplete?: boolean;
  /** The first byte that is wanted; 0. */
  offset?: number;
  /** How many; 0: to the end. */
  length?: number;
  signal?: AbortSignal;
}

/** Writes bytes somewhere into a dataspace; those of one page all at once. */
export async function writeDataspace(
  to: Connection,
  node: string,
  { name, offset, bytes }: { name: string; offset: number; bytes: Uint8Array },
  signal?: AbortSignal,
): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    // Each but the first begins with a page.
    const length = Math.min(PIECE_BYTES - ((offset + done) % PIECE_BYTES), bytes.length - done);
    const data = bytes.subarray(done, done + length);
    await to.dataspaces(node).write({ name, offset: BigInt(offset + done), data }, { signal });
    done += length;
  }
}

/** The bytes of a dataspace, in order. */
export async function* saveDataspace(
  to: Connection,
  node: string,
  name: string,
  { incomplete = false, offset = 0, length = 0, signal }: SaveOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const silence = new Silence(`the save of "${name}" through ${node}`, signal);
  let saved = 0n;
  let whole: bigint | undefined;
  try {
    const range = { offset: BigInt(offset), length: BigInt(length) };
    const pieces = to.dataspaces(node).save({ name, incomplete, ...range }, { signal: silence.signal });
    for await (const { data, sizeBytes } of pieces) {
      whole ??= length === 0 ? sizeBytes - range.offset : range.length;
      saved += BigInt(data.length);
      // How long who reads takes for a piece is their matter.
      silence.paused();
      if (data.length > 0) yield data;
      silence.heard();
    }
  } catch (error) {
    throw silence.errorOf(error);
  } finally {
    silence.end();
  }
  if (whole !== undefined && saved !== whole) {
    throw new RpcError(Code.DataLoss, `dataspace "${name}": ${saved} of ${whole} bytes came`);
  }
}
