// Which holders live, in a JetStream bucket: so that whoever leads a shard next knows whose reports to wait for, and
// which of them to believe. A note is kept when its promise resolves; when it rejects, nobody knows. In which order notes
// are made, and what waits for them, libs/coherency/replica/notes.ts decides.
import { keyOf, nameOf, storedJson } from '@odonata/bus/stored.ts';
import type { Membership } from '@odonata/coherency/replica/members.ts';
import { delay } from '@odonata/rpc/backoff.ts';
import type { KV } from 'nats';
import { z } from 'zod';

const READ_MS = 5_000;

const stored = z.object({
  incarnation: z.coerce.bigint(),
  life: z.coerce.bigint(),
  heldMs: z.number().optional(),
});

function membershipIn(text: string): Membership | undefined {
  try {
    return stored.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export class Members {
  private readonly bucket: KV;
  private readonly replica: string;

  /** @param replica each replica notes its own holders: one that lost a holder does not speak for the others */
  constructor(bucket: KV, replica: string) {
    this.bucket = bucket;
    this.replica = replica;
  }

  /** By replica and node. @throws Error where JetStream does not tell it in time */
  async all(): Promise<Map<string, Map<string, Membership>>> {
    const late = delay(READ_MS).then(() => {
      throw new Error('the list of holders in JetStream was not read in time');
    });
    return await Promise.race([this.read(), late]);
  }

  /** What an earlier process of this replica had noted. */
  async own(): Promise<Map<string, Membership>> {
    return (await this.all()).get(this.replica) ?? new Map();
  }

  private async read(): Promise<Map<string, Map<string, Membership>>> {
    const members = new Map<string, Map<string, Membership>>();
    const keys: string[] = [];
    for await (const key of await this.bucket.keys()) keys.push(key);
    for (const key of keys) {
      const entry = await this.bucket.get(key);
      const [node, replica] = key.split('.').map(nameOf);
      if (entry?.operation !== 'PUT' || node === undefined || replica === undefined) continue;
      const ofReplica = members.get(replica) ?? new Map<string, Membership>();
      const membership = membershipIn(entry.string());
      // No replica writes such: nobody's rejoin may wait for it.
      if (membership !== undefined) members.set(replica, ofReplica.set(node, membership));
    }
    return members;
  }

  /** Notes that a node was taken in; that buries whatever holder of it was noted before. @throws Error when it is not kept */
  async remember(node: string, membership: Membership): Promise<void> {
    await this.bucket.put(this.key(node), storedJson(membership));
  }

  /** Notes that a node's holder is dead: the next leader does not believe it. @throws Error when it is not kept */
  async forget(node: string): Promise<void> {
    await this.bucket.purge(this.key(node));
  }

  private key(node: string): string {
    return `${keyOf(node)}.${keyOf(this.replica)}`;
  }
}
