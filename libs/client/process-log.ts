// What a process wrote, and what it goes on to write.
import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { expectNotAborted } from './abort.ts';
import type { Connection } from './connection.ts';
import { AWAY_MS } from './over-routers.ts';

export interface LogPiece {
  stream: 'stdout' | 'stderr';
  data: Uint8Array;
  /** So many bytes before this piece are no longer kept; with no bytes of its own where nothing follows yet. */
  droppedBytes: bigint;
}

export interface LogOptions {
  /** Goes on until the process ends. */
  follow?: boolean;
  signal?: AbortSignal;
}

const NOTHING = new Uint8Array(0);

/**
 * In the order in which it was written, each byte once: where a router goes away, it goes on through another one.
 * @param node that runs the process, or ran it
 */
export async function* processLog(
  to: Connection,
  node: string,
  pid: bigint,
  { follow = false, signal }: LogOptions = {},
): AsyncGenerator<LogPiece, void, undefined> {
  /** Of all that the process wrote: handed on, or said to be lost. */
  let seenBytes = 0n;
  let endMs = 0;
  const backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
  for (;;) {
    try {
      /** Where the stream of this time is. */
      let atBytes = 0n;
      for await (const { output, droppedBytes } of to.vkerneld(node).getLogs({ pid, follow }, { signal })) {
        endMs = 0;
        backoff.reset();
        atBytes += droppedBytes;
        const lost = atBytes > seenBytes ? atBytes - seenBytes : 0n;
        seenBytes += lost;
        // A stream that begins anew brings again what is here already.
        const known = Number(seenBytes - atBytes);
        const data = output?.data.subarray(known) ?? NOTHING;
        atBytes += BigInt(output?.data.length ?? 0);
        if (data.length === 0 && lost === 0n) continue;
        seenBytes += BigInt(data.length);
        yield { stream: output?.stream === StdStream.ERR ? 'stderr' : 'stdout', data, droppedBytes: lost };
      }
      return;
    } catch (error) {
      expectNotAborted(signal);
      // Its router went away, and not its supervisor: that has what it wrote.
      if (!follow || !RpcError.is(error, Code.Unavailable)) throw error;
      endMs ||= performance.now() + AWAY_MS;
      if (performance.now() > endMs) throw error;
      await delay(backoff.nextDelayMs(), signal);
      await to.ready(Math.max(1, endMs - performance.now()), signal);
    }
  }
}
