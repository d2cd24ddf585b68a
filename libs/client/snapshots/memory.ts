// The memory of a program that is held, read page by page: what is not zero, in spans.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Span } from './module.ts';

const PIECE_BYTES = 1 << 20;
const AT_ONCE = 4;
/** Zeros between two spans that cost less than a span more. */
const GAP_PAGES = 16;
const ZEROS = Buffer.alloc(PAGE_BYTES);

/** @throws RpcError RESOURCE_EXHAUSTED where more than so many bytes are not zero; what reading throws */
export async function readMemory(
  sizeBytes: number,
  read: (address: number, length: number) => Promise<Uint8Array>,
  mostBytes: number,
): Promise<{ spans: Span[]; pages: number }> {
  const found = new Map<number, Buffer>();
  let next = 0;
  let failed = false;
  const reader = async (): Promise<void> => {
    while (next < sizeBytes && !failed) {
      const from = next;
      next += PIECE_BYTES;
      const data = await read(from, Math.min(PIECE_BYTES, sizeBytes - from));
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
        const page = bytes.subarray(at, at + PAGE_BYTES);
        if (!page.equals(ZEROS.subarray(0, page.length))) found.set((from + at) / PAGE_BYTES, page);
      }
      if (found.size * PAGE_BYTES > mostBytes)
        throw new RpcError(
          Code.ResourceExhausted,
          `more than ${Math.floor(mostBytes / 2 ** 20)} MiB of its memory are not zero, which is more than a module may have`,
        );
    }
  };
  const all = Array.from({ length: AT_ONCE }, () =>
    reader().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  await Promise.allSettled(all);
  await Promise.all(all);
  return { spans: spansOf(found), pages: found.size };
}

function spansOf(found: ReadonlyMap<number, Buffer>): Span[] {
  const pages = [...found.keys()].sort((a, b) => a - b);
  const spans: Span[] = [];
  for (let i = 0; i < pages.length; ) {
    const first = pages[i]!;
    let last = first;
    for (i++; i < pages.length && pages[i]! - last <= GAP_PAGES; i++) last = pages[i]!;
    const bytes = Buffer.alloc((last + 1 - first) * PAGE_BYTES);
    for (let page = first; page <= last; page++) found.get(page)?.copy(bytes, (page - first) * PAGE_BYTES);
    spans.push({ address: first * PAGE_BYTES, bytes });
  }
  return spans;
}
