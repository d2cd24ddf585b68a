// NATS: invalidation broadcasts, and JetStream key-value buckets. Delivery on the bus is at most once
// and in no order that anybody may rely on; the protocol above acknowledges and repeats.
import { Backoff, withBackoff } from '@odonata/rpc/backoff.ts';
import { guarded } from '@odonata/rpc/bug.ts';
import type { RpcError } from '@odonata/rpc/error.ts';
import { connect, type JetStreamClient, type KV, type KvEntry, type NatsConnection, StorageType } from 'nats';
import { connectAs, overTls } from './credential.ts';
import { jetStreamError } from './jetstream-error.ts';
import { Refusals, whatOf } from './refusals.ts';
import { StoreDisk } from './store-disk.ts';

export interface BusLog {
  info(fields: object, line: string): void;
  warn(fields: object, line: string): void;
  error(fields: object, line: string): void;
}

export interface BusOptions {
  /** nats://host:port */
  url: string;
  /** What the server asks for; empty or none: nothing. */
  token?: string;
  /** File with a user and a password; empty or none: see token. */
  credentials?: string;
  /** File with the certificate of the authority by which the server is known; empty or none: plain TCP. */
  ca?: string;
  /** Of the server, where it is on this machine; empty or none: it is not. */
  folder?: string;
  /** Servers that keep each bucket; 1. */
  replicas?: number;
  /** Separates clusters on one server. */
  cluster: string;
  /** Shown by the server. */
  name: string;
  log: BusLog;
}

/** How long one request to JetStream may take. */
const REQUEST_MS = 5_000;

export class Bus {
  /** Of the server, where it can be seen. */
  readonly disk: StoreDisk | undefined;
  private readonly connection: NatsConnection;
  private readonly cluster: string;
  private readonly onReconnect = new Set<() => void>();
  private readonly replicas: number;
  private readonly told: Refusals;
  private readonly log: BusLog;

  private constructor(
    connection: NatsConnection,
    { cluster, replicas, folder, log }: BusOptions,
    refusals: Refusals,
  ) {
    this.log = log;
    this.told = refusals;
    this.connection = connection;
    this.cluster = cluster;
    this.replicas = replicas ?? 1;
    this.disk = folder ? new StoreDisk(folder) : undefined;
  }

  /** Connects, and waits for the server as long as it takes; later it reconnects for ever. */
  static async connect(options: BusOptions): Promise<Bus> {
    const { url, name, log, token, credentials, ca } = options;
    log.info({ url }, 'connecting to NATS');
    const refusals = new Refusals(url, log);
    let connected = false;
    const onAsked = (time: number) => {
      // The server asked once before, and there was no connection from it.
      if (!connected && time === 2) refusals.tell(`the credential in ${credentials}`);
    };
    const connection = await connect({
      servers: url,
      ...(token ? { token } : {}),
      ...(ca ? overTls(ca) : {}),
      // A password that is wrong now is right when the file, or the server, has been given the other one.
      ...(credentials ? { ...connectAs(credentials, onAsked), ignoreAuthErrorAbort: true } : {}),
      name,
      waitOnFirstConnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 200,
      reconnectJitter: 100,
      timeout: 2_000,
    });
    connected = true;
    const bus = new Bus(connection, options, refusals);
    void (async () => {
      for await (const status of connection.status()) {
        if (status.type === 'error') refusals.tell(whatOf(status));
        if (status.type === 'disconnect' || status.type === 'reconnect')
          log.warn({ url, status: status.type }, 'NATS');
        if (status.type === 'reconnect') for (const again of bus.onReconnect) again();
      }
    })();
    return bus;
  }

  /** Broadcasts to who follows a dataspace. While the server is away the message may be lost. */
  invalidate(dataspace: bigint, bytes: Uint8Array): void {
    if (this.connection.isClosed()) return;
    this.connection.publish(this.invalidationSubject(dataspace), bytes);
  }

  /** Follows the invalidations of a dataspace; the result ends that. */
  follow(dataspace: bigint, onMessage: (bytes: Uint8Array) => void): () => void {
    const hear = this.guarded({ dataspace }, onMessage);
    const subscription = this.connection.subscribe(this.invalidationSubject(dataspace), {
      callback: (error, message) => {
        if (error === null) hear(message.data);
      },
    });
    return () => subscription.unsubscribe();
  }

  /** What the server did not let this service do, so far. */
  get refusals(): number {
    return this.told.count;
  }

  /** The connection itself, for the backing store. */
  get nats(): NatsConnection {
    return this.connection;
  }

  /** An error of JetStream as one of ours. @param what does not do what was asked */
  explain(error: unknown, what: string): RpcError {
    return jetStreamError(error, what, this.disk);
  }

  /** A bucket of the cluster; made when it does not exist. */
  async bucket(name: string): Promise<KV> {
    const jetstream: JetStreamClient = this.connection.jetstream({ timeout: REQUEST_MS });
    return await jetstream.views.kv(this.bucketName(name), {
      history: 1,
      replicas: this.replicas,
      storage: StorageType.File,
      timeout: REQUEST_MS,
      // Of several servers any one would answer, also one that is behind: who was noted as dead would seem alive.
      allow_direct: false,
    });
  }

  /** Keys of a bucket that is there. Without a consumer, which has the server publish: not everybody may make one. */
  async keysOf(name: string): Promise<string[]> {
    const manager = await this.connection.jetstreamManager({ timeout: REQUEST_MS });
    const prefix = `$KV.${this.bucketName(name)}.`;
    const { state } = await manager.streams.info(`KV_${this.bucketName(name)}`, {
      subjects_filter: `${prefix}>`,
    });
    return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(prefix.length));
  }

  /**
   * Tells what others write to a bucket from now on; `undefined`: the key was taken away. Without JetStream, and as little
   * sure as a broadcast. The result ends it.
   */
  hearBucket(name: string, hear: (key: string, bytes: Uint8Array | undefined) => void): () => void {
    const prefix = `$KV.${this.bucketName(name)}.`;
    const heard = this.guarded({ bucket: name }, hear);
    const subscription = this.connection.subscribe(`${prefix}>`, {
      callback: (error, { subject, data, headers }) => {
        if (error !== null) return;
        const gone = (headers?.get('KV-Operation') ?? '') !== '';
        heard(subject.slice(prefix.length), gone ? undefined : data);
      },
    });
    return () => subscription.unsubscribe();
  }

  /**
   * Tells each entry of a bucket, as it is now and whenever it changes, deletions too; resolves when all that is there
   * was told. An entry may be told again. After the server was away everything is told again. The result ends it.
   */
  async followBucket(bucket: KV, see: (entry: KvEntry) => void): Promise<() => void> {
    // What somebody else wrote may be anything: an entry that is of no use is told in the log, and the rest is seen.
    const seen = this.guarded({ bucket: 'an entry' }, see);
    let stop = await watchBucket(bucket, seen);
    let watching = Promise.resolve();
    let ended = false;
    // The server may have forgotten its side of a watch, or remember too little of it.
    const watch = async (): Promise<void> => {
      if (ended) return;
      stop();
      stop = await watchBucket(bucket, seen);
      if (ended) stop();
    };
    const again = (): void => {
      const backoff = new Backoff({ firstMs: 100, maxMs: 2_000 });
      watching = watching.then(() => withBackoff(watch, { backoff }));
    };
    this.onReconnect.add(again);
    return () => {
      ended = true;
      this.onReconnect.delete(again);
      stop();
    };
  }

  /** A message that cannot be read ends nothing: the next one is heard. */
  private guarded<A extends unknown[]>(about: object, hear: (...args: A) => void): (...args: A) => void {
    return guarded(this.log, { bus: this.cluster, ...about }, hear);
  }

  private bucketName(name: string): string {
    return `odonata-${this.cluster}-${name}`;
  }

  private invalidationSubject(dataspace: bigint): string {
    return `odonata.${this.cluster}.invalidate.${dataspace}`;
  }

  /** Leaves after what was published is on its way. */
  async close(): Promise<void> {
    await this.connection.drain().catch(() => this.connection.close());
  }
}

async function watchBucket(bucket: KV, see: (entry: KvEntry) => void): Promise<() => void> {
  const told = Promise.withResolvers<void>();
  const entries = await bucket.watch({ initializedFn: () => told.resolve() });
  void (async () => {
    for await (const entry of entries) see(entry);
  })();
  const late = setTimeout(
    () => told.reject(new Error('the entries of a bucket did not come in time')),
    REQUEST_MS,
  );
  try {
    await told.promise;
  } catch (error) {
    entries.stop();
    throw error;
  } finally {
    clearTimeout(late);
  }
  return () => entries.stop();
}
