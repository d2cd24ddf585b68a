// Whether a virtual kernel has compiled a program lately: then none of its module need be sent.
import type { ProgramLooked } from '@odonata/proto/vkernel/v1/vkernel';
import type { VkernelChild } from './vkernel-child.ts';
import type { Vkernels } from './vkernels.ts';

/** One that takes longer is busy: the module is sent. */
const ANSWER_MS = 2_000;
const UNDER_WAY_MAX = 1_000;

export class ProgramsThere {
  readonly #asked = new Map<
    number,
    { readonly child: VkernelChild; readonly answer: (there: boolean) => void }
  >();
  #last = 0;

  constructor(vkernels: Vkernels) {
    vkernels.onProgramLooked = (child, looked) => this.#looked(child, looked);
  }

  /** Never fails: where nobody knows, it is not there. */
  look(child: VkernelChild, moduleSha256: Uint8Array, memoryBytes: number): Promise<boolean> {
    if (!child.takesSnapshots || this.#asked.size >= UNDER_WAY_MAX) return Promise.resolve(false);
    const number = ++this.#last;
    return new Promise((resolve) => {
      const answer = (there: boolean): void => {
        clearTimeout(timer);
        this.#asked.delete(number);
        resolve(there);
      };
      const timer = setTimeout(() => answer(false), ANSWER_MS);
      this.#asked.set(number, { child, answer });
      try {
        child.send({
          case: 'programLook',
          value: { number, moduleSha256, memoryBytes: BigInt(memoryBytes) },
        });
      } catch {
        answer(false); // The start that follows says what is wrong.
      }
    });
  }

  #looked(child: VkernelChild, { number, there }: ProgramLooked): void {
    const asked = this.#asked.get(number);
    if (asked?.child === child) asked.answer(there);
  }
}
