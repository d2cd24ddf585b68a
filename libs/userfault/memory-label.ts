// How the memory files of a node are labelled between its pmap manager and a virtual kernel.
import type { DescriptorLabel } from './descriptor-line.ts';

const VMSPACE = 1n;
const DATASPACE = 2n;
const READ_ONLY_DATASPACE = 3n;
const IMAGE = 4n;

/** The private memory of a process. */
export const vmspaceLabel = (vmspace: bigint): DescriptorLabel => ({ kind: VMSPACE, id: vmspace });

/** Of a read-only one the descriptor is opened for reading only. */
export const dataspaceLabel = (dataspace: bigint, readOnly: boolean): DescriptorLabel => ({
  kind: readOnly ? READ_ONLY_DATASPACE : DATASPACE,
  id: dataspace,
});

/** What processes of a program begin with, for reading only. */
export const imageLabel = (image: bigint): DescriptorLabel => ({ kind: IMAGE, id: image });
