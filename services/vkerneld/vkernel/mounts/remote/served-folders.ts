// The folders that this virtual kernel serves to others of its person and name on other nodes: each came as a descriptor from the
// supervisor, which says what is to be done there, and passes on what came of it.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  FileCall,
  FolderOpen,
  FolderRequest,
  FolderResponseSchema,
} from '@odonata/proto/vkernel/v1/files';
import type { Limits } from '../../limits.ts';
import { Errno } from '../../wasi/errno.ts';
import { hide } from '../../wasi/hidden.ts';
import { ServedFolder } from './served-folder.ts';

export interface ServedFoldersOptions {
  readonly send: (response: MessageInitShape<typeof FolderResponseSchema>) => void;
  /** The descriptor that came before its number was told; undefined: it did not. */
  readonly take: (folder: number) => number | undefined;
  readonly troubled: (error: unknown) => void;
  /** A folder of the home, by this descriptor: what it grows by counts there. */
  readonly countHome?: (descriptor: number) => Limits;
}

interface Served {
  readonly folder: ServedFolder;
  readonly hidden: readonly string[];
}

export class ServedFolders {
  readonly #options: ServedFoldersOptions;
  readonly #served = new Map<number, Served>();

  constructor(options: ServedFoldersOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#served.size;
  }

  /** A message of the supervisor. */
  handle({ folder: number, event }: FolderRequest): void {
    if (event.case === 'open') this.#open(number, event.value);
    else if (event.case === 'close') this.#close(number);
    else if (event.case === 'call') this.#call(number, event.value);
  }

  #open(number: number, { readOnly, hidden, counted }: FolderOpen): void {
    const { send, take, countHome } = this.#options;
    const top = take(number);
    if (top === undefined) {
      send({ folder: number, event: { case: 'gone', value: { errno: Errno.nfile } } });
      return;
    }
    this.#close(number);
    const limits = counted ? countHome?.(top) : undefined;
    this.#served.set(number, { folder: new ServedFolder(top, readOnly, limits), hidden });
    this.#hide();
    send({ folder: number, event: { case: 'opened', value: {} } });
  }

  #call(folder: number, call: FileCall): void {
    const { send, troubled } = this.#options;
    const served = this.#served.get(folder);
    if (served === undefined) {
      send({ folder, event: { case: 'gone', value: { errno: Errno.stale } } });
      return;
    }
    const { number } = call;
    served.folder.serve(call).then(
      (came) => send({ folder, event: { case: 'answer', value: { ...came, number } } }),
      (error: unknown) => {
        troubled(error);
        send({ folder, event: { case: 'answer', value: { errno: Errno.io, number } } });
      },
    );
  }

  /** Another supervisor knows of none of them. */
  onReattached(): void {
    for (const number of [...this.#served.keys()]) this.#close(number);
  }

  #close(number: number): void {
    this.#served.get(number)?.folder.close();
    if (this.#served.delete(number)) this.#hide();
  }

  /** What is not for programs in one of them is of a cluster of this machine: it is in none. */
  #hide(): void {
    hide([...new Set([...this.#served.values()].flatMap(({ hidden }) => hidden))]);
  }
}
