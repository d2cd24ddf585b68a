// Children of processes on other nodes whose way to their standard streams broke: they go on, and what they write is in their logs. Once
// their parent is over, too, nobody will ever read them, and nobody else ends what a login left: they hear so.
import { INIT } from '@odonata/processes/home.ts';
import { ProcessState, StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import type { Process, ProcessTable } from '../process-table.ts';
import type { Vkernels } from '../vkernels.ts';
import { indexOfPid } from './peers.ts';
import type { Relatives } from './relatives.ts';

export class Strays {
  readonly #place: { table: ProcessTable; vkernels: Vkernels; relatives: Relatives };
  /** Whether a terminal was among the streams. */
  readonly #known = new Map<bigint, boolean>();

  constructor(place: { table: ProcessTable; vkernels: Vkernels; relatives: Relatives }) {
    this.#place = place;
    const { table, relatives } = place;
    // Under an earlier supervisor each had a way, which ended with that one.
    for (const process of table.running()) {
      const parent = relatives.home.find(process.pid)?.parent ?? INIT;
      if (parent > INIT && indexOfPid(parent) !== relatives.home.node) this.#known.set(process.pid, false);
    }
    relatives.onChanged = () => this.#look();
  }

  add(process: Process, hadTerminal: boolean): void {
    if (process.state === ProcessState.EXITED) return;
    this.#known.set(process.pid, hadTerminal);
    this.#look();
  }

  #look(): void {
    const { table, vkernels, relatives } = this.#place;
    for (const [pid, hadTerminal] of this.#known) {
      const process = table.find(pid);
      const own = relatives.home.find(pid);
      const isOver = process === undefined || process.state === ProcessState.EXITED || own === undefined;
      if (!isOver && own.parent > INIT) continue;
      this.#known.delete(pid);
      if (isOver) continue;
      for (const stream of [StdStream.OUT, StdStream.ERR])
        vkernels.tell(process, { case: 'outputClosed', value: { pid, stream } });
      for (const signal of hadTerminal ? ['SIGHUP', 'SIGCONT'] : [])
        vkernels.tell(process, { case: 'signal', value: { pid, signal } });
    }
  }
}
