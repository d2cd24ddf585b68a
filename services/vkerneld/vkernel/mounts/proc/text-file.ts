// A file whose text is made when it is opened, whole.
import { type Filestat, Filetype } from '../../wasi/abi.ts';
import { Errno } from '../../wasi/errno.ts';
import { type FileNode, fail, type Maybe, type OpenedFile, type OpenHow } from '../tree.ts';

const TEXT_BYTES_MAX = 8 << 20;

/** As of Linux: no size is known before. */
export const procStat = (ino: bigint, filetype: number): Filestat => ({
  ...{ dev: 0x7072_6f63n, ino, filetype, nlink: 1n, size: 0n, atimNs: 0n, mtimNs: 0n, ctimNs: 0n },
});

export class TextFile implements FileNode {
  readonly filetype = Filetype.regularFile;
  readonly #ino: bigint;
  readonly #text: () => Maybe<string>;

  constructor(ino: bigint, text: () => Maybe<string>) {
    this.#ino = ino;
    this.#text = text;
  }

  stat(): Filestat {
    return procStat(this.#ino, this.filetype);
  }

  setTimes(): void {
    fail(Errno.rofs);
  }

  async open({ writes, truncates }: OpenHow): Promise<OpenedFile> {
    if (writes || truncates) fail(Errno.rofs);
    const bytes = Buffer.from(await this.#text()).subarray(0, TEXT_BYTES_MAX);
    const refuse = (): never => fail(Errno.badf);
    return {
      stat: () => this.stat(),
      setTimes: () => fail(Errno.rofs),
      read: (offset, lengthBytes) => bytes.subarray(offset, offset + lengthBytes),
      write: refuse,
      setSize: refuse,
      allocate: refuse,
      sync: () => {},
      close: () => {},
    };
  }
}
