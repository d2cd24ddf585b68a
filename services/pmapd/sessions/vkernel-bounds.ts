// What each virtual kernel may have of the node, all of its processes together, as its supervisor said it last.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { VkernelBound as Told } from '@odonata/proto/pmap/v1/pmap';
import { setHint } from '@odonata/rpc/set-hint.ts';

export interface VkernelBound {
  /** Frames, private and shared ones, and pages in swap. */
  readonly frames: number;
  /** Dataspaces open, each counted for each process. */
  readonly dataspaces: number;
}

const NONE: VkernelBound = { frames: Number.POSITIVE_INFINITY, dataspaces: Number.POSITIVE_INFINITY };

export class VkernelBounds {
  private byName = new Map<string, VkernelBound>();

  /** In the place of all that was said before; 0 is no bound. */
  set(all: readonly Told[]): void {
    const bounds = all.map(({ name, frames, dataspaces }): [string, VkernelBound] => [
      name,
      { frames: Number(frames) || NONE.frames, dataspaces: dataspaces || NONE.dataspaces },
    ]);
    this.byName = new Map(
      bounds.filter(([, bound]) => bound.frames < NONE.frames || bound.dataspaces < NONE.dataspaces),
    );
  }

  of(name: string): VkernelBound {
    return this.byName.get(name) ?? NONE;
  }
}

/** Why a process gets no more of them. */
export const framesReason = (vkernel: string, frames: number): string =>
  `out of memory: virtual kernel ${vkernel} has all of its ${Math.round((frames * PAGE_BYTES) / 2 ** 20)} MiB (${setHint(vkernel, '--memory', 'SIZE')} gives it more)`;
