// Dataspaces by name: opened, made and loaded into, as the directory says; and what is told of one before its answer is here.
import type { Bus } from '@odonata/bus/bus.ts';
import type { RunEvent } from '@odonata/coherency/node/lines/holder-wire.ts';
import type {
  Allowed,
  BeginLoadRequest,
  Dataspace,
  DirectoryService,
} from '@odonata/proto/coherency/v1/coherency';
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import type { CallOptions, Client } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import { exhaustedOr, NoDescriptors } from './frames/exhausted.ts';
import type { CoherentMemory } from './memory/coherent-memory.ts';
import type { SharedDataspace } from './memory/shared-dataspace.ts';
import type { Descriptors } from './sessions/descriptors.ts';
import type { DirectoryLine } from './wire/directory-line.ts';

/** How long an open may wait for the directory. */
const OPEN_MS = 20_000;
/** Events of dataspaces that are being opened; what is dropped the directory sends again. */
const EARLY_MAX = 10_000;

export interface OpenOptions {
  /** For whom; missing: for the node itself. */
  requester?: Requester;
  /** It is refused where the requester may only read it. */
  forWriting?: boolean;
  /** It must not exist. */
  exclusive?: boolean;
  /** Made with a backing store. */
  durable?: boolean;
  /** To make it with. */
  mode?: number | undefined;
  group?: string;
  /** Also where a load into it has not ended. */
  incomplete?: boolean;
  requestId?: string;
}

export interface OpenedDataspace {
  dataspace: SharedDataspace;
  created: boolean;
  /** The requester may read it, and not write it. */
  readOnly: boolean;
  /** What the directory knows of it. */
  about: Dataspace;
}

type Ask<T> = (
  directory: Client<typeof DirectoryService>,
  wait: { waitForReady: boolean; deadlineMs: number; requestId: string | undefined },
) => Promise<T>;

const openedOf = (
  dataspace: SharedDataspace,
  about: Dataspace,
  { created, allowed }: { created: boolean; allowed: Allowed | undefined },
): OpenedDataspace => ({ dataspace, created, about, readOnly: allowed?.write !== true });

/** @throws RpcError FAILED_PRECONDITION */
function expectWhole({ name, load }: Dataspace): void {
  if (load === undefined) return;
  throw new RpcError(
    Code.FailedPrecondition,
    `dataspace ${name} is incomplete: a load into it is under way, or broke off; load it again or remove it`,
  );
}

export interface OpeningsOptions {
  /** Of the node. */
  name: string;
  incarnation: bigint;
  line: DirectoryLine;
  memory: CoherentMemory;
  descriptors: Descriptors;
  bus: Bus;
  /** What the directory says of what is opened. */
  learned(about: Dataspace): void;
  isLeaving(): boolean;
}

export class Openings {
  private readonly o: OpeningsOptions;
  /** Another pmap manager goes on with what is here. */
  isFrozen = false;
  /** How often some leader said that what was held of its shard is not any more. */
  private timesVoided = 0;
  private underWay = 0;
  private readonly early: RunEvent[] = [];

  constructor(options: OpeningsOptions) {
    this.o = options;
  }

  /** True while the directory is asked for a dataspace. */
  get isOpening(): boolean {
    return this.underWay > 0;
  }

  /** Some leader said that what was held of its shard is not any more. */
  voided(): void {
    this.timesVoided++;
  }

  /** Opens a dataspace by name, or makes it here when a size is given. @throws RpcError */
  open(name: string, sizeBytes: bigint, options: OpenOptions = {}): Promise<OpenedDataspace> {
    const { exclusive = false, durable = false, incomplete = false, forWriting = false } = options;
    const { requester, requestId, mode, group = '' } = options;
    // What this node made before some leader declared it dead is not whole here any more.
    let since: number | undefined;
    return this.opened(name, requestId, async (directory, wait) => {
      if (sizeBytes === 0n) {
        const request = { name, withoutUsage: true, requester, forWriting };
        const { dataspace: about, allowed } = await directory.getDataspace(request, wait);
        if (!incomplete) expectWhole(about!);
        return openedOf(this.known(about!, 0), about!, { created: false, allowed });
      }
      this.expectLease();
      since ??= this.timesVoided;
      const [creator, creatorIncarnation] = [this.o.name, this.o.incarnation];
      const made = { sizeBytes, creator, creatorIncarnation, durable, mode, group };
      const request = { name, exclusive, requester, ...made };
      const { dataspace, created, allowed } = await directory.createDataspace(request, wait);
      expectWhole(dataspace!);
      if (!this.isMine(dataspace!, since) && (await this.removed(dataspace!, wait))) {
        since = undefined;
        throw tryAgain(Code.Unavailable, `${this.o.name} was declared dead while it made ${name}; try again`);
      }
      return openedOf(this.known(dataspace!, since), dataspace!, { created, allowed });
    });
  }

  /** Opens or makes a dataspace that is marked as incomplete until `endLoad`. @throws RpcError */
  beginLoad(
    about: Pick<BeginLoadRequest, 'name' | 'sizeBytes' | 'loadBytes' | 'load' | 'mode' | 'group'>,
    { requester, requestId }: { requester: Requester; requestId: string },
  ): Promise<SharedDataspace> {
    const since = this.timesVoided;
    return this.opened(about.name, requestId, async (directory, wait) => {
      this.expectLease();
      const by = { creator: this.o.name, creatorIncarnation: this.o.incarnation, requester };
      const request = { ...about, ...by };
      const { dataspace } = await directory.beginLoad(request, wait);
      return this.known(dataspace!, since);
    });
  }

  /** @throws RpcError */
  async endLoad(about: {
    name: string;
    dataspace: bigint;
    load: bigint;
    loadedBytes: bigint;
  }): Promise<void> {
    await this.whileAway(undefined, (directory, wait) => directory.endLoad(about, wait));
  }

  /** @throws RpcError */
  async abandonLoad(about: { name: string; dataspace: bigint; load: bigint }): Promise<boolean> {
    const { removed } = await this.whileAway(undefined, (directory, wait) => {
      return directory.abandonLoad(about, wait);
    });
    return removed;
  }

  /** A dataspace of another pmap manager of this node; what is told of it on the bus is heard from now on. */
  adopt(about: { id: bigint; name: string; sizeBytes: bigint; durable: boolean }): SharedDataspace {
    const dataspace = this.o.memory.adopt(about);
    this.follow(dataspace);
    return dataspace;
  }

  private expectRoomFor(name: string): void {
    if (this.o.memory.count < this.o.descriptors.dataspacesMax) return;
    for (const known of this.o.memory.all()) if (known.name === name) return;
    throw new NoDescriptors(`dataspace ${name}`);
  }

  // A leader that may be about to declare this node dead would lose what it makes now.
  private expectLease(): void {
    if (this.o.line.directories?.allUsable !== true)
      throw new RpcError(Code.Unavailable, `${this.o.name} has no lease of the whole directory right now`);
  }

  private async opened<T>(name: string, requestId: string | undefined, ask: Ask<T>): Promise<T> {
    if (this.o.isLeaving() || this.isFrozen) throw this.stops();
    // Before the cluster makes it.
    this.expectRoomFor(name);
    this.underWay++;
    try {
      return await this.whileAway(requestId, ask);
    } finally {
      this.underWay--;
      for (const event of this.early.splice(0)) this.receive(event);
    }
  }

  /** Asks again while the directory was killed under the call, or waits for NATS. */
  private async whileAway<T>(requestId: string | undefined, ask: Ask<T>): Promise<T> {
    const endMs = performance.now() + OPEN_MS;
    const backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
    for (;;) {
      const deadlineMs = Math.max(1_000, endMs - performance.now());
      try {
        return await ask(this.o.line.directory, { waitForReady: true, deadlineMs, requestId });
      } catch (error) {
        const away = RpcError.is(error) && error.code === Code.Unavailable;
        if (!away || performance.now() > endMs) throw error;
        await delay(backoff.nextDelayMs());
      }
    }
  }

  private stops(): RpcError {
    return tryAgain(Code.Unavailable, `the pmap manager of ${this.o.name} stops`);
  }

  // Also where the answer to the call that made it was lost.
  private isMine({ creator, creatorIncarnation }: Dataspace, since: number): boolean {
    return creator === this.o.name && creatorIncarnation === this.o.incarnation && this.timesVoided === since;
  }

  // Made in a former life, for a call that did not hear so: nobody was told of it, unless somebody found it.
  private async removed(
    { id, name, creator, creatorIncarnation }: Dataspace,
    wait: CallOptions,
  ): Promise<boolean> {
    const ours = creator === this.o.name && creatorIncarnation === this.o.incarnation;
    if (!ours || this.o.memory.get(id) !== undefined) return false;
    try {
      await this.o.line.directory.deleteDataspace({ name, dataspace: id }, wait);
      return true;
    } catch (error) {
      if (RpcError.is(error) && error.code === Code.FailedPrecondition) return false;
      throw error;
    }
  }

  private known(about: Dataspace, since: number): SharedDataspace {
    // What is opened when all is told would be known to nobody; who asked asks the next pmap manager.
    if (this.isFrozen) throw this.stops();
    this.o.learned(about);
    const known = this.o.memory.get(about.id);
    if (known !== undefined) return known;
    const whole = this.isMine(about, since);
    const { id, name, sizeBytes, durable } = about;
    let dataspace: SharedDataspace;
    try {
      dataspace = this.o.memory.open({ id, name, sizeBytes, durable }, whole);
    } catch (error) {
      throw exhaustedOr(error, `dataspace ${name}`);
    }
    this.follow(dataspace);
    return dataspace;
  }

  private follow(dataspace: SharedDataspace): void {
    dataspace.unfollow = this.o.bus.follow(dataspace.id, (bytes) => this.o.line.directories?.overhear(bytes));
  }

  // The directory may recall a page of a dataspace before its answer says that it is ours: the two come on
  // different streams.
  receive(event: RunEvent): void {
    const early = this.underWay > 0 && this.o.memory.get(event.run.dataspace) === undefined;
    if (!early) this.o.memory.step(event);
    else if (this.early.length < EARLY_MAX) this.early.push(event);
  }
}
