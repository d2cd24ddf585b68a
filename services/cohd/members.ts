// Which holders live, in a JetStream bucket: so that whoever leads a shard next knows whose reports to wait for.
import type { Logger } from '@odonata/rpc/log.ts';
import type { KV } from 'nats';

// Bucket keys allow fewer characters than names.
const hex = (text: string): string => Buffer.from(text).toString('hex');

export class Members {
  private readonly bucket: KV;
  private readonly replica: string;
  private readonly log: Logger;
  private readonly striking = new Set<string>();

  /** @param replica each replica notes its own holders: one that lost a holder does not speak for the others */
  constructor(bucket: KV, replica: string, log: Logger) {
    this.bucket = bucket;
    this.replica = replica;
    this.log = log;
  }

  /** Nodes and incarnations that any replica knows. */
  async all(): Promise<Map<string, bigint>> {
    const members = new Map<string, bigint>();
    const keys: string[] = [];
    for await (const key of await this.bucket.keys()) keys.push(key);
    for (const key of keys) {
      const entry = await this.bucket.get(key);
      const node = Buffer.from(key.split('.')[0]!, 'hex').toString();
      if (entry?.operation !== 'PUT') continue;
      const incarnation = BigInt(entry.string());
      if (incarnation > (members.get(node) ?? 0n)) members.set(node, incarnation);
    }
    return members;
  }

  async remember(node: string, incarnation: bigint): Promise<void> {
    await this.bucket.put(this.key(node), incarnation.toString()).catch((error) => {
      this.log.warn({ err: error, node }, 'could not note a holder; the next leader would not wait for it');
    });
  }

  /** @param isBack asked before it is struck out */
  async forget(node: string, isBack: () => boolean): Promise<void> {
    if (isBack()) return;
    await this.bucket.purge(this.key(node)).catch((error) => {
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
      for await (const key of await this.bucket.keys(`${hex(node)}.*`)) await this.bucket.purge(key);
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
    return `${hex(node)}.${hex(this.replica)}`;
  }
}
