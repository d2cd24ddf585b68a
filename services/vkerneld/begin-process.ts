// How a process comes to be here, whoever asked for it: there is room, it stands in the table, it has relatives, and its virtual kernel
// may have what it takes.
import type { ProgramSpec } from '@odonata/proto/vkernel/v1/vkernel';
import { shortenedCommand } from './command-line.ts';
import type { Process, ProcessRecord, ProcessTable } from './process-table.ts';
import { shownArguments } from './program-spec.ts';
import type { VkernelChild } from './vkernel-child.ts';
import type { Vkernels } from './vkernels.ts';

export function beginProcess(
  { table, vkernels }: { table: ProcessTable; vkernels: Vkernels },
  vkernel: VkernelChild,
  program: ProgramSpec,
  {
    relate,
    ...has
  }: Pick<ProcessRecord, 'quotaBytes' | 'connect' | 'dirs'> & {
    /** Says who its parent is. What it throws ends the start. */
    relate: (process: Process) => void;
  },
): Process {
  vkernels.expectProcessRoom(vkernel);
  const command = shortenedCommand([program.name, ...shownArguments(program)]);
  const process = table.create(vkernel, command, has);
  relate(process);
  vkernels.makeRoom(vkernel, process);
  return process;
}
