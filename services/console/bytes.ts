// The bytes of a page, as a program of that person would read them. It costs what a read costs: the page is shared from then on.
import type { Cluster } from '@odonata/client/cluster.ts';
import { saveDataspace } from '@odonata/client/dataspace-bytes.ts';

export interface BytesAsked {
  name: string;
  offset: number;
  length: number;
}

const ASK_MS = 5_000;

/** In hexadecimal. @throws RpcError PERMISSION_DENIED where they may not read it */
export async function bytesJson(to: Cluster, { name, offset, length }: BytesAsked): Promise<{ hex: string }> {
  const signal = AbortSignal.timeout(ASK_MS);
  const node = await to.connection.answeringNode(undefined, signal);
  const pieces: Uint8Array[] = [];
  for await (const piece of saveDataspace(to.connection, node, name, { offset, length, signal }))
    pieces.push(piece);
  return { hex: Buffer.concat(pieces).toString('hex') };
}
