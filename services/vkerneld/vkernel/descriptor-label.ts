// How descriptors of a process are labelled between the supervisor and the virtual kernel: a directory or listener by its place in the
// program's spec, a connection by the number of its request.
import type { DescriptorLabel } from '@odonata/userfault/descriptor-line.ts';

export const directoryLabel = (pid: bigint, place: number): DescriptorLabel => ({
  kind: pid,
  id: BigInt(place),
});

/** Of a folder that is served to another node, by its number; no process has that pid. */
export const folderLabel = (folder: number): DescriptorLabel => ({ kind: 0n, id: BigInt(folder) });

const CONNECTIONS = 1n << 32n;

export const connectionLabel = (pid: bigint, number: number): DescriptorLabel => ({
  kind: pid,
  id: CONNECTIONS + BigInt(number),
});
