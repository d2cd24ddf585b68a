// NATS: invalidation broadcasts, and JetStream key-value buckets. Delivery on the bus is at most once
// and in no order that anybody may rely on; the protocol above acknowledges and repeats.
import { connect, type JetStreamClient, type KV, type NatsConnection, StorageType } from 'nats';

export interface BusLog {
  info(fields: object, line: string): void;
  warn(fields: object, line: string): void;
}

export interface BusOptions {
  /** nats://host:port */
  url: string;
  /** What the server asks for; empty or none: nothing. */
  token?: string;
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
  private readonly connection: NatsConnection;
  private readonly cluster: string;
  private readonly replicas: number;

  private constructor(connection: NatsConnection, cluster: string, replicas: number) {
    this.connection = connection;
    this.cluster = cluster;
    this.replicas = replicas;
  }

  /** Connects, and waits for the server as long as it takes; later it reconnects for ever. */
  static async connect(options: BusOptions): Promise<Bus> {
    const { url, cluster, name, log, token } = options;
    log.info({ url }, 'connecting to NATS');
    const connection = await connect({
      servers: url,
      ...(token ? { token } : {}),
      name,
      waitOnFirstConnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 200,
      reconnectJitter: 100,
      timeout: 2_000,
    });
    void (async () => {
      for await (const status of connection.status()) {
        if (status.type === 'disconnect' || status.type === 'reconnect')
          log.warn({ url, status: status.type }, 'NATS');
      }
    })();
    return new Bus(connection, cluster, options.replicas ?? 1);
  }

  /** Broadcasts to who follows a dataspace. While the server is away the message may be lost. */
  invalidate(dataspace: bigint, bytes: Uint8Array): void {
    if (this.connection.isClosed()) return;
    this.connection.publish(this.invalidationSubject(dataspace), bytes);
  }

  /** Follows the invalidations of a dataspace; the result ends that. */
  follow(dataspace: bigint, onMessage: (bytes: Uint8Array) => void): () => void {
    const subscription = this.connection.subscribe(this.invalidationSubject(dataspace), {
      callback: (error, message) => {
        if (error === null) onMessage(message.data);
      },
    });
    return () => subscription.unsubscribe();
  }

  /** A bucket of the cluster; made when it does not exist. */
  async bucket(name: string): Promise<KV> {
    const jetstream: JetStreamClient = this.connection.jetstream({ timeout: REQUEST_MS });
    return await jetstream.views.kv(`odonata-${this.cluster}-${name}`, {
      history: 1,
      replicas: this.replicas,
      storage: StorageType.File,
      timeout: REQUEST_MS,
    });
  }

  private invalidationSubject(dataspace: bigint): string {
    return `odonata.${this.cluster}.invalidate.${dataspace}`;
  }

  /** Leaves after what was published is on its way. */
  async close(): Promise<void> {
    await this.connection.drain().catch(() => this.connection.close());
  }
}
