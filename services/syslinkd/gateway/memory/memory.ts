// Dataspaces over a gateway: those of this cluster that others borrow, and those of others that are mapped here.
import { gatewayHolder } from '@odonata/coherency/gateway.ts';
import type { AccessMode, PageRun } from '@odonata/coherency/page.ts';
import { DEFAULT_SHARDS } from '@odonata/coherency/shard.ts';
import { type Arrived, transferHandlers } from '@odonata/pmap/wire/arriving.ts';
import { PagePool } from '@odonata/pmap/wire/page-buffer.ts';
import { SpoiltMessages } from '@odonata/pmap/wire/spoilt-messages.ts';
import { Transfers } from '@odonata/pmap/wire/transfer.ts';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { TransferService } from '@odonata/proto/pmap/v1/pmap';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { type Client, createClient } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { EventLog } from '@odonata/rpc/events.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { createRpcServer, type RpcServer } from '@odonata/rpc/server.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import type { PeerMeter } from '../peer-meter.ts';
import type { Policy } from '../policy.ts';
import type { Session } from '../session.ts';
import { Borrowing } from './borrowing.ts';
import type { GatewayHolder } from './holder.ts';
import { Lending } from './lending.ts';
import { PageStore } from './page-store.ts';
import type { Word } from './word.ts';
import { Words } from './words.ts';

const LOOK_MS = 250;
const NONE: ReadonlySet<string> = new Set();
const NO_LENDS: ReadonlyMap<string, AccessMode> = new Map();
const NO_DIRECTORY = 'this gateway was started without --directory';

export interface MemoryOptions {
  readonly gateway: string;
  readonly policy: () => Policy;
  /** Replicas of the directory of this cluster; none: dataspaces do not cross. */
  readonly directory: readonly string[];
  /** Where nodes bring pages, host:port or unix:/path. */
  readonly pagesListen: string;
  readonly session: (peer: string) => Session | undefined;
  readonly meter: (peer: string) => PeerMeter;
  readonly events: EventLog;
  readonly folder: TlsFolder;
  readonly log: Logger;
}

export class CrossingMemory {
  private readonly o: MemoryOptions;
  private readonly life = BigInt(Date.now());
  private readonly store = new PageStore();
  private readonly words = new WeakMap<Session, Words>();
  private readonly transfers: Transfers;
  private server: RpcServer | undefined;
  private address: Promise<string> | undefined;
  private lending: Lending | undefined;
  private borrowing: Borrowing | undefined;
  private asked: { client: Client<typeof DirectoryService>; address: string } | undefined;
  private looking: Promise<void> | undefined;
  private beginning: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: MemoryOptions) {
    this.o = options;
    const { log } = options;
    this.transfers = new Transfers({
      ...{ log, pool: new PagePool() },
      onDropped: (address, pages) => log.warn({ address, pages }, 'pages did not arrive at a node'),
    });
  }

  /** Begins as soon as the policy has dataspaces. */
  async start(): Promise<void> {
    const { directory } = this.o;
    if (directory.length === 0) return;
    this.timer = setInterval(
      ownTurn({ timer: 'dataspaces of other clusters' }, () => this.look()),
      LOOK_MS,
    );
    await this.begin();
    this.look();
  }

  /** What a cluster may map, and what of it may be mapped here. */
  of(peer: string): { name: string; sizeBytes: bigint; pages: bigint; trouble: string }[] {
    const { lends = NO_LENDS, borrows = NONE } = this.o.policy().peers.get(peer) ?? {};
    if (this.o.directory.length === 0)
      return [...lends.keys(), ...[...borrows].map((name) => `${name}@${peer}`)].map((name) => {
        return { name, sizeBytes: 0n, pages: 0n, trouble: NO_DIRECTORY };
      });
    return [...(this.lending?.of(peer) ?? []), ...(this.borrowing?.of(peer) ?? [])];
  }

  policyChanged(): void {
    this.lending?.policyChanged();
    this.borrowing?.policyChanged();
    this.look();
  }

  /** A line to a cluster is up. */
  joined(peer: string): void {
    this.lending?.joined(peer);
  }

  lost(peer: string): void {
    this.borrowing?.lost(peer);
  }

  /** What a cluster says; what it must not say ends its line. */
  heard(peer: string, session: Session, word: Word): void {
    try {
      if (this.lending?.heard(peer, word) || this.borrowing?.heard(peer, word)) return;
      // Of a later version, or nothing here is for dataspaces.
      this.o.meter(peer).strays += 1;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.o.meter(peer).falsePages += 1;
      session.end(new RpcError(Code.InvalidArgument, `of dataspaces: ${error.message}`));
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.looking;
    await this.borrowing?.stop();
    await this.lending?.stop();
    this.transfers.close();
    this.asked?.client.close();
    await this.server?.drain(500);
  }

  // ---- parts

  // Those that the policy has something for: a gateway of names alone is no holder.
  private begin(): Promise<void> {
    // One of each, however slowly its door opens.
    this.beginning ??= this.beginBoth().finally(() => {
      this.beginning = undefined;
    });
    return this.beginning;
  }

  private async beginBoth(): Promise<void> {
    const peers = [...this.o.policy().peers.values()];
    if (this.lending === undefined && peers.some(({ lends }) => lends.size > 0)) await this.beginLending();
    if (this.borrowing === undefined && peers.some(({ borrows }) => borrows.size > 0))
      await this.beginBorrowing();
  }

  /** Where nodes bring pages. */
  private async listen(): Promise<string> {
    this.address ??= this.openDoor();
    return this.address;
  }

  private async openDoor(): Promise<string> {
    const { events, log, folder } = this.o;
    const gate = new WireGate('gateway', log);
    const of = (dataspace: bigint): GatewayHolder | undefined =>
      this.borrowing?.has(dataspace) ? this.borrowing.receiver : this.lending?.receiver;
    const line = {
      acceptsFor: (dataspace: bigint, page: number, epoch: bigint, receiver: number): boolean =>
        of(dataspace)?.acceptsFor(dataspace, page, epoch, receiver) ?? false,
    };
    const memory = { step: (arrived: Arrived) => of(arrived.data.run.dataspace)?.arrived(arrived) };
    const { deliver } = transferHandlers({ memory, line, spoilt: new SpoiltMessages(events) }, gate);
    const adopt = (): never => {
      throw new RpcError(Code.FailedPrecondition, 'a gateway keeps no pages for nodes that leave');
    };
    this.server = createRpcServer({ name: 'gateway for nodes', log, folder }).add(TransferService, {
      deliver,
      adopt,
    });
    return await this.server.listen(this.o.pagesListen);
  }

  private async beginLending(): Promise<void> {
    const { policy, meter } = this.o;
    const transferAddress = await this.listen();
    this.lending = new Lending({
      ...{ policy, life: this.life, store: this.store, meter },
      holder: this.holderOf('lends', transferAddress),
      client: () => this.client(),
      words: (peer) => this.wordsTo(peer),
      lifeOf: (peer) => this.o.session(peer)?.life,
      lost: (peer, dataspace, run) =>
        this.lostPages(`${peer} wrote them, and does not bring them back`, dataspace, run),
    });
    for (const peer of policy().peers.keys())
      if (this.o.session(peer) !== undefined) this.lending.joined(peer);
  }

  private async beginBorrowing(): Promise<void> {
    const { policy, meter, log } = this.o;
    const transferAddress = await this.listen();
    this.borrowing = new Borrowing({
      ...{ policy, store: this.store, meter, log },
      holder: this.holderOf('borrows', transferAddress),
      client: () => this.client(),
      words: (peer) => this.wordsTo(peer),
      lost: (peer, dataspace, run) =>
        this.lostPages(`${peer} went on without what was written here`, dataspace, run),
    });
  }

  private lostPages(why: string, dataspace: string, { firstPage, pageCount }: PageRun): void {
    const which =
      pageCount === 1
        ? `page ${firstPage} of dataspace ${dataspace} is`
        : `pages ${firstPage} to ${firstPage + pageCount - 1} of dataspace ${dataspace} are`;
    const text = `${which} lost: ${why}`;
    this.o.events.add('page-lost', text, { dataspace });
  }

  private holderOf(what: 'lends' | 'borrows', transferAddress: string) {
    const { gateway, directory, log } = this.o;
    const { transfers, store, life } = this;
    return {
      ...{ name: gatewayHolder(gateway, what, life), incarnation: life, shards: DEFAULT_SHARDS },
      ...{ directory, transferAddress, transfers, store, log },
    };
  }

  private client(): Client<typeof DirectoryService> | undefined {
    const address = this.lending?.replica ?? this.borrowing?.replica ?? this.o.directory[0]!;
    if (this.asked?.address !== address) {
      this.asked?.client.close();
      this.asked = { address, client: createClient(DirectoryService, address, { log: this.o.log }) };
    }
    return this.asked.client;
  }

  private wordsTo(peer: string): Words | undefined {
    const session = this.o.session(peer);
    if (session === undefined) return undefined;
    const words = this.words.get(session) ?? new Words(session);
    this.words.set(session, words);
    return words;
  }

  private look(): void {
    this.looking ??= this.begin()
      .then(() => this.lending?.look())
      .then(() => this.borrowing?.look())
      .catch((error) => this.o.log.warn({ err: error }, 'dataspaces could not be looked at'))
      .finally(() => {
        this.looking = undefined;
      });
  }
}
