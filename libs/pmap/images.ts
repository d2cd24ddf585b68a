// Images of programs, as the pmap manager of the node has them: asked for by what is in them, and brought where it has none.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Code } from '@odonata/rpc/error.ts';
import { imageLabel } from '@odonata/userfault/memory-label.ts';
import { Errno } from './errno.ts';
import { type ImageSpan, PmapError, type ProgramImage } from './pmap-interface.ts';
import type { PmapSession } from './pmap-session.ts';

const PIECE_BYTES = 1 << 20;
/** It was there, and was given up before it was laid. */
const TRIES = 3;
/** Codes of a pmap manager that has no room for it, or knows nothing of images. */
const DO_WITHOUT: readonly (number | undefined)[] = [Code.ResourceExhausted, Code.Unimplemented];

export class Images {
  readonly #session: PmapSession;
  /** Of this virtual kernel one image is brought at a time. */
  #bringing: Promise<unknown> = Promise.resolve();

  constructor(session: PmapSession) {
    this.#session = session;
  }

  /** @returns a descriptor of the image, for reading; undefined: do without. @throws PmapError */
  async lay(vmspace: bigint, image: ProgramImage): Promise<number | undefined> {
    try {
      for (let tries = 0; tries < TRIES; tries++) {
        const fd = await this.#ask(vmspace, image, image.spans);
        if (fd !== undefined) return fd;
        // Another process of the same program may have brought it meanwhile.
        const brought = this.#bringing.then(async () => {
          const there = await this.#ask(vmspace, image, image.spans);
          if (there === undefined) await this.#bring(image).catch(unlessAnew);
          return there;
        });
        this.#bringing = brought.catch(() => {});
        const there = await brought;
        if (there !== undefined) return there;
      }
      return undefined;
    } catch (error) {
      if (error instanceof PmapError && DO_WITHOUT.includes(error.code)) return undefined;
      throw error;
    }
  }

  /** Less of it is the image's from now on. */
  tell(vmspace: bigint, image: ProgramImage, spans: readonly ImageSpan[]): void {
    this.#session.send(asLaid(vmspace, image, spans));
  }

  async #ask(vmspace: bigint, image: ProgramImage, spans: readonly ImageSpan[]): Promise<number | undefined> {
    const answer = await this.#session.ask(asLaid(vmspace, image, spans));
    if (answer.case !== 'imageLaid')
      throw new PmapError(Errno.inval, `image_lay was answered with ${answer.case}`);
    const { image: id } = answer.value;
    return id === 0n ? undefined : this.#session.takeDescriptor(imageLabel(id));
  }

  async #bring({ sha256, bytes }: ProgramImage): Promise<void> {
    const pageCount = bytes.length / PAGE_BYTES;
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      // A copy: what is shared with a guest's thread is no message.
      const data = Uint8Array.from(bytes.subarray(at, at + PIECE_BYTES));
      const value = { sha256, offset: BigInt(at), pageCount, data };
      await this.#session.ask({ case: 'imageData', value });
    }
  }
}

/** The pmap manager has nothing of what was brought: it is asked again. @throws unknown */
function unlessAnew(error: unknown): void {
  if (!(error instanceof PmapError && error.code === Code.Aborted)) throw error;
}

function asLaid(vmspace: bigint, { sha256, bytes }: ProgramImage, spans: readonly ImageSpan[]) {
  const value = { vmspace, sha256, pageCount: bytes.length / PAGE_BYTES, spans: [...spans] };
  return { case: 'imageLay' as const, value };
}
