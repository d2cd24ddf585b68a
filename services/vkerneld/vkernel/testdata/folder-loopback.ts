// A folder of this machine as another node's, for tests: both sides in one process, and what lies between them is told as it is sent.
import { constants, openSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { FolderRequestSchema, FolderResponseSchema } from '@odonata/proto/vkernel/v1/files';
import type { Limits } from '../limits.ts';
import { FoldersAsked } from '../mounts/remote/folders-asked.ts';
import { RemoteMount } from '../mounts/remote/remote-files.ts';
import { ServedFolders } from '../mounts/remote/served-folders.ts';

export class FolderLoopback {
  readonly #path: string;
  readonly #readOnly: boolean;
  readonly #limits: Limits | undefined;
  readonly asked: FoldersAsked;
  #served: ServedFolders;
  /** False: the other side is silent. */
  answers = true;
  /** Calls that were sent. */
  calls = 0;
  readonly troubles: unknown[] = [];

  /** @param limits the folder is of the home that these bound */
  constructor(path: string, readOnly = false, limits?: Limits) {
    this.#limits = limits;
    this.#path = path;
    this.#readOnly = readOnly;
    this.#served = this.#serving();
    this.asked = new FoldersAsked((request) => {
      if (request.event?.case === 'call') this.calls++;
      if (!this.answers) return;
      const event =
        request.event?.case === 'open'
          ? {
              case: 'open' as const,
              value: { readOnly: this.#readOnly, counted: this.#limits !== undefined },
            }
          : request.event!;
      const message = create(FolderRequestSchema, { ...request, event } as typeof request);
      setImmediate(() => this.#served.handle(message));
    });
  }

  mount(): RemoteMount {
    return new RemoteMount(this.asked, 1n, 0);
  }

  /** What serves ends, and another one is there. */
  restart(): void {
    this.#served.onReattached();
    this.#served = this.#serving();
    this.asked.onReattached();
  }

  #serving(): ServedFolders {
    return new ServedFolders({
      send: (response) => setImmediate(() => this.asked.answered(create(FolderResponseSchema, response))),
      take: () => openSync(this.#path, constants.O_RDONLY | constants.O_DIRECTORY),
      troubled: (error) => this.troubles.push(error),
      ...(this.#limits && { countHome: () => this.#limits! }),
    });
  }

  close(): void {
    this.#served.onReattached();
  }
}
