// Lives of pmap managers that left for good and disowned their dataspaces, in a JetStream bucket: pages which nobody
// ever asked for read as zero from then on. Of a creator that died without a word they are lost.
import type { Bus } from '@odonata/bus/bus.ts';
import { keyOf, nameOf } from '@odonata/bus/stored.ts';
import { Code } from '@odonata/rpc/error.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import type { KV, KvEntry } from 'nats';

/** Names a life of a pmap manager. */
export const lifeOf = (node: string, incarnation: bigint): string => `${node} ${incarnation}`;

export class Disowned {
  private readonly bucket: KV;
  private readonly lives = new Set<string>();
  private stop: () => void = () => {};

  private constructor(bucket: KV) {
    this.bucket = bucket;
  }

  /** Reads the bucket and follows it. */
  static async load(bus: Bus, bucket: KV): Promise<Disowned> {
    const disowned = new Disowned(bucket);
    disowned.stop = await bus.followBucket(bucket, (entry) => disowned.see(entry));
    return disowned;
  }

  private see({ key, operation }: KvEntry): void {
    const life = lifeOfKey(key);
    if (life === undefined) return;
    if (operation === 'PUT') this.lives.add(life);
    else this.lives.delete(life);
  }

  has(node: string, incarnation: bigint): boolean {
    return this.lives.has(lifeOf(node, incarnation));
  }

  /** Learns what other replicas stored until now. */
  async read(): Promise<void> {
    for await (const key of await this.bucket.keys()) {
      const life = lifeOfKey(key);
      if (life !== undefined) this.lives.add(life);
    }
  }

  /** @throws RpcError UNAVAILABLE when it is not stored */
  async add(node: string, incarnation: bigint): Promise<void> {
    try {
      await this.bucket.put(keyOfLife(node, incarnation), '');
    } catch (error) {
      const why = 'the NATS server with JetStream does not answer; try again when it is back';
      throw tryAgain(Code.Unavailable, why, { cause: error });
    }
    this.lives.add(lifeOf(node, incarnation));
  }

  /** No dataspace of this life is left. */
  async forget(node: string, incarnation: bigint): Promise<void> {
    if (this.lives.delete(lifeOf(node, incarnation))) await this.bucket.purge(keyOfLife(node, incarnation));
  }

  close(): void {
    this.stop();
  }
}

const keyOfLife = (node: string, incarnation: bigint): string => `${keyOf(node)}.${incarnation}`;

function lifeOfKey(key: string): string | undefined {
  const [node, incarnation] = key.split('.');
  return node === undefined || incarnation === undefined
    ? undefined
    : lifeOf(nameOf(node), BigInt(incarnation));
}
