// /proc/PID/fd: the descriptors of a process, wherever it runs, each a line of text that says what it is open to.
import type { Process } from '@odonata/proto/vkernel/v1/vkernel';
import { type Filestat, Filetype } from '../../wasi/abi.ts';
import { type DescriptorKind, descriptorKinds } from '../../wasi/descriptor-kind.ts';
import type { ListedName } from '../../wasi/mounts/file-request.ts';
import { FixedFolder, type TreeNode } from '../tree.ts';
import { procStat, TextFile } from './text-file.ts';

const WORDS: Readonly<Record<DescriptorKind, string>> = {
  stream: 'standard stream',
  file: 'file of a granted folder',
  directory: 'granted folder',
  nowhere: 'folder above those that are granted',
  socket: 'pipe or connection',
  device: 'device',
  'mounted-file': 'file of the virtual kernel',
  'mounted-folder': 'folder of the virtual kernel',
};
/** Beyond the numbers of all processes. */
const FIRST_INODE = 1n << 60n;

export class DescriptorsFolder extends FixedFolder {
  readonly #pid: bigint;
  readonly #descriptors: Uint8Array;

  constructor({ pid, descriptors }: Pick<Process, 'pid' | 'descriptors'>) {
    super();
    this.#pid = pid;
    this.#descriptors = descriptors;
  }

  stat(): Filestat {
    return procStat(this.#inode(-1), Filetype.directory);
  }

  lookup(name: string): TreeNode | undefined {
    if (!/^(0|[1-9]\d{0,3})$/.test(name)) return undefined;
    const kind = descriptorKinds[(this.#descriptors[Number(name)] ?? 0) - 1];
    return kind && new TextFile(this.#inode(Number(name)), () => `${WORDS[kind]}\n`);
  }

  list(): ListedName[] {
    return [...this.#descriptors.keys()]
      .filter((fd) => this.#descriptors[fd] !== 0)
      .map((fd) => ({ name: Buffer.from(`${fd}`), filetype: Filetype.regularFile, inode: this.#inode(fd) }));
  }

  #inode(fd: number): bigint {
    return FIRST_INODE + this.#pid * 2_048n + BigInt(fd + 1);
  }
}
