// Which holders live, in a JetStream bucket: so that whoever leads a shard next knows whose reports to wait for.
import { keyOf, nameOf } from '@odonata/bus/stored.ts';
import { delay } from '@odonata/rpc/backoff.ts';
import { InOrder } from '@odonata/rpc/in-order.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { KV } from 'nats';

const READ_MS = 5_000;

export class Members {
  private readonly bucket: KV;
  private readonly replica: string;
  private readonly log: Logger;
  /** What is said of a node is stored in the order in which it is said. */
  private readonly order = new InOrder<string>();
  private readonly striking = new Set<string>();

  /** @param replica each replica notes its own holders: one that lost a holder does not speak for the others */
  constructor(bucket: KV, replica: string, log: Logger) {
    this.bucket = bucket;
    this.replica = replica;
    this.log = log;
  }

  /** By replica: the nodes and incarnations that it has taken in and not buried. */
  async all(): Promise<Map<string, Map<string, bigint>>> {
    const late = delay(READ_MS).then(() => {
      throw new Error('the list of holders in JetStream was not read in time');
    });
    return await Promise.race([this.read(), late]);
  }

  private async read(): Promise<Map<string, Map<string, bigint>>> {
    const members = new Map<string, Map<string, bigint>>();
    const keys: string[] = [];
    for await (const key of await this.bucket.keys()) keys.push(key);
    for (const key of keys) {
      const entry = await this.bucket.get(key);
      const [node, replica] = key.split('.').map(nameOf);
      if (entry?.operation !== 'PUT' || node === undefined || replica === undefined) continue;
      const ofReplica = members.get(replica) ?? new Map<string, bigint>();
      members.set(replica, ofReplica.set(node, BigInt(entry.string())));
    }
    return members;
  }

  async remember(node: string, incarnation: bigint): Promise<void> {
    await this.order
      .run(node, () => this.bucket.put(this.key(node), incarnation.toString()))
      .catch((error) => {
        this.log.warn({ err: error, node }, 'could not note a holder; the next leader would not wait for it');
      });
  }

  /** @param isBack asked before it is struck out */
  async forget(node: string, isBack: () => boolean): Promise<void> {
    const purge = async (): Promise<void> => {
      if (!isBack()) await this.bucket.purge(this.key(node));
    };
    await this.order.run(node, purge).catch((error) => {
      this.log.warn(
        { err: error, node },
        'could not strike a holder out; the next leader waits for it for a lease',
      );
    });
  }

  /** A node that nobody heard of for a lease: whatever replica noted it. */
  async strike(node: string): Promise<void> {
    if (this.striking.has(node)) return;
    this.striking.add(node);
    try {
      for await (const key of await this.bucket.keys(`${keyOf(node)}.*`)) await this.bucket.purge(key);
    } catch (error) {
      this.log.warn(
        { err: error, node },
        'could not strike a holder out; the next leader waits for it for a lease',
      );
    } finally {
      this.striking.delete(node);
    }
  }

  private key(node: string): string {
    return `${keyOf(node)}.${keyOf(this.replica)}`;
  }
}
