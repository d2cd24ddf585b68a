// Of which dataspaces a gateway may bring pages here: those that another cluster lent, and those that everybody of this cluster may write,
// which another cluster may have been let write. What a dataspace allows is known from when it was opened, and is asked anew now and then:
// it changes seldom, and what was refused meanwhile the directory has sent again.
import { isBorrowed } from '@odonata/coherency/gateway.ts';
import type { Dataspace, DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import type { Client } from '@odonata/rpc/client.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';

/** Of a mode: others read and write. */
const WRITTEN_BY_ALL = 0o006;
const KNOWN_MS = 10_000;
/** Where it may not be brought it is asked again so soon. */
const REFUSED_MS = 500;
const ASK_MS = 5_000;

export interface GatewayPagesOptions {
  readonly nameOf: (dataspace: bigint) => string | undefined;
  readonly directory: () => Client<typeof DirectoryService>;
  readonly log: Logger;
}

/** `unknown`: nobody knows the dataspace here, as after a new start of the pmap manager; or who may write it is being asked. */
export type Bringing = 'may' | 'may not' | 'unknown';

export class GatewayPages {
  private readonly o: GatewayPagesOptions;
  private readonly known = new Map<bigint, { may: boolean; atMs: number }>();
  private readonly asking = new Set<bigint>();

  constructor(options: GatewayPagesOptions) {
    this.o = options;
  }

  /** What the directory says of a dataspace. */
  learn({ id, mode }: Pick<Dataspace, 'id' | 'mode'>): void {
    this.known.set(id, { may: (mode & WRITTEN_BY_ALL) === WRITTEN_BY_ALL, atMs: monotonicMs() });
    for (const each of this.known.keys())
      if (each !== id && this.o.nameOf(each) === undefined) this.known.delete(each);
  }

  mayBring(dataspace: bigint): boolean {
    return this.look(dataspace) === 'may';
  }

  look(dataspace: bigint): Bringing {
    const name = this.o.nameOf(dataspace);
    if (name === undefined) return 'unknown';
    if (isBorrowed(name)) return 'may';
    const { may = false, atMs = Number.NEGATIVE_INFINITY } = this.known.get(dataspace) ?? {};
    const isOld = monotonicMs() - atMs > (may ? KNOWN_MS : REFUSED_MS);
    if (isOld) void this.ask(dataspace, name);
    if (may) return 'may';
    return isOld ? 'unknown' : 'may not';
  }

  private async ask(id: bigint, name: string): Promise<void> {
    if (this.asking.has(id)) return;
    this.asking.add(id);
    try {
      const request = { name, withoutUsage: true };
      const { dataspace } = await this.o.directory().getDataspace(request, { deadlineMs: ASK_MS });
      if (dataspace?.id === id) this.learn(dataspace);
    } catch (error) {
      this.o.log.debug({ name, err: error }, 'could not be asked for who may write it');
    } finally {
      this.asking.delete(id);
    }
  }
}
