// What the parts of a pmap manager share, and how they are joined.
import { fromBinary } from '@bufbuild/protobuf';
import type { Bus } from '@odonata/bus/bus.ts';
import type { HolderEvent } from '@odonata/coherency/holder-messages.ts';
import { runFromWire } from '@odonata/coherency/wire.ts';
import {
  type Dataspace,
  type DirectoryEvent,
  DirectoryService,
  InvalidateSchema,
} from '@odonata/proto/coherency/v1/coherency';
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import { type Client, createClient } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { CoherentMemory } from './coherent-memory.ts';
import type { PmapdConfig } from './config.ts';
import { DirectoryLink } from './directory-link.ts';
import { Frames } from './frames.ts';
import type { Session } from './session.ts';
import type { SharedDataspace } from './shared-dataspace.ts';
import { Statistics } from './statistics.ts';
import { SyncRelay } from './sync-relay.ts';
import { Transfers } from './transfer.ts';

/** How long an open may wait for the directory. */
const OPEN_MS = 20_000;
/** Events of dataspaces that are being opened; what is dropped the directory sends again. */
const EARLY_MAX = 10_000;

export interface OpenOptions {
  /** It must not exist. */
  exclusive?: boolean;
  requestId?: string;
}

export class Node {
  readonly name: string;
  readonly memoryDir: string;
  readonly incarnation: bigint;
  readonly frames: Frames;
  readonly statistics = new Statistics();
  readonly memory: CoherentMemory;
  readonly sync: SyncRelay;
  readonly sessions = new Set<Session>();
  readonly directory: Client<typeof DirectoryService>;
  private readonly bus: Bus;
  private readonly transfers: Transfers;
  private readonly mapped = new Set<bigint>();
  private readonly config: PmapdConfig;
  private readonly log: Logger;
  private link: DirectoryLink | undefined;
  private vmspaces = 0n;
  private opening = 0;
  private readonly early: HolderEvent[] = [];

  constructor(config: PmapdConfig, bus: Bus, log: Logger) {
    this.name = config.node;
    this.memoryDir = config.memoryDir;
    this.incarnation = BigInt(Date.now());
    this.config = config;
    this.bus = bus;
    this.log = log;
    this.frames = new Frames(Math.floor(config.framesBytes / 4096));
    this.directory = createClient(DirectoryService, config.directory, { log, deadlineMs: OPEN_MS });
    this.transfers = new Transfers(log);
    this.sync = new SyncRelay((event) => this.link?.send(event));
    this.memory = new CoherentMemory(
      config.memoryDir,
      {
        toDirectory: (action) => this.link?.sendAction(action),
        delivery: (receiver, run, zero, version, state) => {
          const address = this.link?.addressOf(receiver);
          if (address === undefined) return undefined;
          const sender = this.link?.holder ?? 0;
          return this.transfers.delivery(address, run, zero, { version, state, epoch: this.epoch, sender });
        },
        modifies: ({ entry, page }) => {
          const begin = BigInt(page * 4096);
          return this.sync.modifies(entry.vmspace.pid, entry.dataspace.id, begin, begin + 4095n);
        },
        faultError: ({ entry, page }, signal, reason) => {
          const { vmspace } = entry;
          const value = { vmspace: vmspace.id, address: entry.addressOf(page), signal, reason };
          vmspace.session.send({ event: { case: 'faultError', value } });
        },
      },
      this.statistics,
    );
  }

  get epoch(): bigint {
    return this.link?.epoch ?? 0n;
  }

  get directoryConnected(): boolean {
    return this.link?.connected ?? false;
  }

  nextVmspace(): bigint {
    this.vmspaces++;
    return this.vmspaces;
  }

  /** Joins the directory, once others can reach this node at `transferAddress`. */
  join(transferAddress: string): void {
    this.link = new DirectoryLink({
      address: this.config.directory,
      node: this.name,
      incarnation: this.incarnation,
      transferAddress,
      log: this.log,
      onEvent: (event) => this.receive(event),
      onOther: (event) => this.other(event),
      onJoin: (send, newDirectory) => {
        for (const dataspace of this.mapped) send({ case: 'interest', value: { dataspace, mapped: true } });
        this.sync.rejoin(newDirectory);
      },
    });
  }

  // The directory may recall a page of a dataspace before its answer says that it is ours: the two come on
  // different streams.
  private receive(event: HolderEvent): void {
    const early = this.opening > 0 && 'run' in event && this.memory.get(event.run.dataspace) === undefined;
    if (!early) this.memory.step(event);
    else if (this.early.length < EARLY_MAX) this.early.push(event);
  }

  private other(event: DirectoryEvent['event']): void {
    if (event.case === 'removed') this.memory.remove(event.value.dataspace);
    else this.sync.answer(event);
  }

  /** Opens a dataspace by name, or makes it here when a size is given. @throws RpcError */
  async openDataspace(
    name: string,
    sizeBytes: bigint,
    options: OpenOptions = {},
  ): Promise<{ dataspace: SharedDataspace; created: boolean }> {
    this.opening++;
    try {
      return await this.askToOpen(name, sizeBytes, options);
    } finally {
      this.opening--;
      for (const event of this.early.splice(0)) this.receive(event);
    }
  }

  private async askToOpen(
    name: string,
    sizeBytes: bigint,
    { exclusive = false, requestId }: OpenOptions,
  ): Promise<{ dataspace: SharedDataspace; created: boolean }> {
    const endMs = performance.now() + OPEN_MS;
    const backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
    for (;;) {
      const deadlineMs = Math.max(1_000, endMs - performance.now());
      const wait = { waitForReady: true, deadlineMs, requestId };
      try {
        if (sizeBytes === 0n) {
          const { dataspace } = await this.directory.getDataspace({ name }, wait);
          return { dataspace: this.known(dataspace!), created: false };
        }
        const [creator, creatorIncarnation] = [this.name, this.incarnation];
        const request = { name, sizeBytes, creator, creatorIncarnation, exclusive };
        const { dataspace, created } = await this.directory.createDataspace(request, wait);
        return { dataspace: this.known(dataspace!), created };
      } catch (error) {
        // The directory was killed under the call, or waits for NATS.
        const away = RpcError.is(error) && error.code === Code.Unavailable;
        if (!away || performance.now() > endMs) throw error;
        await delay(backoff.nextDelayMs());
      }
    }
  }

  private known(about: Dataspace): SharedDataspace {
    const known = this.memory.get(about.id);
    if (known !== undefined) return known;
    // Also where the answer to the call that made it was lost.
    const whole = about.creator === this.name && about.creatorIncarnation === this.incarnation;
    const dataspace = this.memory.open({ id: about.id, name: about.name, sizeBytes: about.sizeBytes }, whole);
    dataspace.unfollow = this.bus.follow(about.id, (bytes) => this.invalidate(bytes));
    return dataspace;
  }

  private invalidate(bytes: Uint8Array): void {
    const { run, version, epoch, exceptHolder, sourceHolder } = fromBinary(InvalidateSchema, bytes);
    const holder = this.link?.holder;
    if (epoch !== this.epoch || exceptHolder === holder || sourceHolder === holder) return;
    this.memory.step({ type: 'invalidate', run: runFromWire(run), version: Number(version) });
  }

  /** Tells the directory when the first process maps a dataspace here, and when the last one let it go. */
  interest(dataspace: SharedDataspace): void {
    const mapped = dataspace.entries.size > 0;
    if (mapped === this.mapped.has(dataspace.id)) return;
    if (mapped) this.mapped.add(dataspace.id);
    else this.mapped.delete(dataspace.id);
    this.link?.send({ case: 'interest', value: { dataspace: dataspace.id, mapped } });
  }

  close(): void {
    const sessions = [...this.sessions];
    this.sessions.clear();
    for (const session of sessions) session.close();
    this.link?.close();
    this.transfers.close();
    this.directory.close();
    for (const dataspace of [...this.memory.all()]) dataspace.file.remove();
  }
}
