// Dataspaces for a measurement, made and removed.
import { setTimeout as sleep } from 'node:timers/promises';
import { loadDataspace, saveDataspace } from '@odonata/client/dataspace-bytes.ts';
import { Code } from '@odonata/rpc/error.ts';
import { hasCode } from '../../services/vkctl/failure.ts';
import type { Setting } from './part.ts';

const PIECE_BYTES = 2 ** 20;
const REMOVE_TRIES = 40;

let made = 0;

/** A name that no other measurement has. */
export function freshName(what: string): string {
  made += 1;
  return `${what}-${made}`;
}

/** Makes a dataspace of bytes that are not zero; all of its pages are then dirty at this node. */
export async function loadOn({ to }: Setting, node: string, name: string, sizeBytes: number): Promise<void> {
  const piece = new Uint8Array(PIECE_BYTES).map((_, i) => (i % 251) + 1);
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < sizeBytes; at += PIECE_BYTES)
      yield piece.subarray(0, Math.min(PIECE_BYTES, sizeBytes - at));
  }
  await loadDataspace(to, node, { name, sizeBytes, bytes: bytes() });
}

/** A node's pmapd reads all of it: the node becomes a sharer of every page. */
export async function readOn({ to }: Setting, node: string, name: string): Promise<void> {
  for await (const _ of saveDataspace(to, node, name));
}

/** Removes it, as soon as the nodes told that their processes let it go. */
export async function removeDataspace({ to, signal }: Setting, node: string, name: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await to.dataspaces(node).remove({ name });
      return;
    } catch (error) {
      if (tries === REMOVE_TRIES || !hasCode(error, Code.FailedPrecondition)) throw error;
      await sleep(50, undefined, { signal });
    }
  }
}
