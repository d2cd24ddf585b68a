// How a directory of a process is labelled between the supervisor and the virtual kernel: by its place in the program's spec.
import type { DescriptorLabel } from '@odonata/userfault/descriptor-line.ts';

export const directoryLabel = (pid: bigint, place: number): DescriptorLabel => ({
  kind: pid,
  id: BigInt(place),
});
