// /proc: the cluster as text, for one process. Of processes and dataspaces there are those that its person may see.
import type { Process } from '@odonata/proto/vkernel/v1/vkernel';
import type { HomeRoom } from '../../home-size.ts';
import { type Filestat, Filetype } from '../../wasi/abi.ts';
import type { ListedName } from '../../wasi/mounts/file-request.ts';
import type { Dataspaces } from '../dataspaces.ts';
import { FixedFolder, type LinkNode, type Maybe, type TreeNode } from '../tree.ts';
import type { ClusterView } from './cluster-view.ts';
import { DescriptorsFolder } from './descriptors-folder.ts';
import {
  cmdlineText,
  dataspacesText,
  type FilesRoom,
  faultsText,
  loadavgText,
  mapsText,
  meminfoText,
  mountsText,
  nodesText,
  statText,
  statusText,
  uptimeText,
  versionText,
  vkernelsText,
} from './proc-text.ts';
import { procStat, TextFile } from './text-file.ts';

export interface ProcPlace {
  readonly view: ClusterView;
  readonly dataspaces: Pick<Dataspaces, 'list'>;
  /** Of /tmp. */
  readonly memory: FilesRoom;
  /** Undefined: it has no bound. */
  readonly homeRoom: () => HomeRoom | undefined;
}

const ROOT_INODE = 1n;
/** Files of a process have numbers after its own. */
const inodeOf = (pid: bigint, file = 0): bigint => 1_000n + pid * 16n + BigInt(file);

export class ProcFolder extends FixedFolder {
  readonly #place: ProcPlace;
  readonly #pid: bigint;
  readonly #files: ReadonlyMap<string, TextFile>;

  /** @param pid who looks: `self` */
  constructor(place: ProcPlace, pid: bigint) {
    super();
    this.#place = place;
    this.#pid = pid;
    const { view, dataspaces, memory, homeRoom } = place;
    const texts: [string, () => Maybe<string>][] = [
      ['dataspaces', async () => dataspacesText(await dataspaces.list())],
      ['loadavg', async () => loadavgText(await view.processes())],
      ['meminfo', async () => meminfoText(await view.nodes())],
      ['mounts', () => mountsText(memory, homeRoom())],
      ['nodes', async () => nodesText(await view.nodes())],
      ['uptime', uptimeText],
      ['version', versionText],
      ['vkernels', async () => vkernelsText(await view.vkernels())],
    ];
    this.#files = new Map(texts.map(([name, text], i) => [name, new TextFile(BigInt(i + 2), text)]));
  }

  stat(): Filestat {
    return procStat(ROOT_INODE, Filetype.directory);
  }

  async lookup(name: string): Promise<TreeNode | undefined> {
    if (name === 'self') return new SelfLink(this.#pid);
    const file = this.#files.get(name);
    if (file !== undefined) return file;
    if (!/^[1-9]\d{0,19}$/.test(name)) return undefined;
    const { view } = this.#place;
    const named = ({ pid }: Process): boolean => pid === BigInt(name);
    // One that has just started is not in what was known a moment ago.
    const process =
      (await view.processes()).find(named) ?? (await view.processes({ fresh: true })).find(named);
    return process && new ProcessFolder(this.#place, process);
  }

  async list(): Promise<ListedName[]> {
    const processes = await this.#place.view.processes();
    return [
      { name: Buffer.from('self'), filetype: Filetype.symbolicLink, inode: inodeOf(0n) },
      ...[...this.#files].map(([name, file]) => ({
        name: Buffer.from(name),
        filetype: Filetype.regularFile,
        inode: file.stat().ino,
      })),
      ...processes.map(({ pid }) => ({
        name: Buffer.from(`${pid}`),
        filetype: Filetype.directory,
        inode: inodeOf(pid),
      })),
    ];
  }
}

class SelfLink implements LinkNode {
  readonly filetype = Filetype.symbolicLink;
  readonly target: string;

  constructor(pid: bigint) {
    this.target = `${pid}`;
  }

  stat(): Filestat {
    return procStat(inodeOf(0n), Filetype.symbolicLink);
  }

  setTimes(): void {}
}

class ProcessFolder extends FixedFolder {
  readonly #pid: bigint;
  readonly #files: ReadonlyMap<string, TextFile>;
  readonly #descriptors: DescriptorsFolder;

  constructor({ view, dataspaces }: ProcPlace, process: Process) {
    super();
    const { pid } = process;
    this.#pid = pid;
    this.#descriptors = new DescriptorsFolder(process);
    const memory = async <T>(of: (found: NonNullable<Awaited<ReturnType<ClusterView['memoryOf']>>>) => T) => {
      const found = await view.memoryOf(pid);
      return found === undefined ? '' : of(found);
    };
    const texts: [string, () => Maybe<string>][] = [
      ['cmdline', () => cmdlineText(process)],
      ['faults', () => memory(faultsText)],
      [
        'maps',
        async () => {
          const names = new Map((await dataspaces.list()).map(({ id, name }) => [id, name]));
          return memory((found) => mapsText(found, (id) => names.get(id) ?? '-'));
        },
      ],
      ['stat', () => statText(process)],
      ['status', () => statusText(process)],
    ];
    this.#files = new Map(texts.map(([name, text], i) => [name, new TextFile(inodeOf(pid, i + 1), text)]));
  }

  stat(): Filestat {
    return procStat(inodeOf(this.#pid), Filetype.directory);
  }

  lookup(name: string): TreeNode | undefined {
    return name === 'fd' ? this.#descriptors : this.#files.get(name);
  }

  list(): ListedName[] {
    const texts = [...this.#files].map(([name, file]) => ({
      name: Buffer.from(name),
      filetype: Filetype.regularFile,
      inode: file.stat().ino,
    }));
    const { ino: inode } = this.#descriptors.stat();
    return [...texts, { name: Buffer.from('fd'), filetype: Filetype.directory, inode }];
  }
}
