// Which holders live, in a JetStream bucket: so that whoever leads a shard next knows whose reports to wait for, and
// which of them to believe. A note is kept when its promise resolves; when it rejects, nobody knows. In which order notes
// are made, and what waits for them, libs/coherency/replica/notes.ts decides.
//
// What a process of the replica said, and comes late, must not undo what a later one noted: a life that the node never had
// would be asked for, and all that it has would be void. So each note names the revision that it takes the place of, and a
// process that starts writes anew what it finds, before it takes anybody in. A key without a dot has the number of the
// newest process: an earlier one, that lives still, learns by it why its notes are refused.
import { apiCode } from '@odonata/bus/jetstream-error.ts';
import { keyOf, nameOf, storedIn, storedJson } from '@odonata/bus/stored.ts';
import type { Membership } from '@odonata/coherency/replica/members.ts';
import { delay } from '@odonata/rpc/backoff.ts';
import type { KV } from 'nats';
import { z } from 'zod';

const READ_MS = 5_000;
/** Notes that took the place of another one than they named are written again so often. */
const TRIES_MAX = 5;
/** JetStream: the key has another revision than the one that was named. */
const OTHER_REVISION = 10071;

const stored = z.object({
  incarnation: z.coerce.bigint(),
  life: z.coerce.bigint(),
  heldMs: z.number().optional(),
});

const membershipIn = (text: string): Membership | undefined => storedIn(stored, text);

export class Members {
  private readonly bucket: KV;
  private readonly replica: string;
  private readonly start: bigint;
  /** By key, as this process wrote it. */
  private readonly revisions = new Map<string, number>();

  /**
   * @param replica each replica notes its own holders: one that lost a holder does not speak for the others
   * @param start grows with each process of the replica
   */
  constructor(bucket: KV, replica: string, start: bigint) {
    this.bucket = bucket;
    this.replica = replica;
    this.start = start;
  }

  /** By replica and node. @throws Error where JetStream does not tell it in time */
  async all(): Promise<Map<string, Map<string, Membership>>> {
    const late = delay(READ_MS).then(() => {
      throw new Error('the list of holders in JetStream was not read in time');
    });
    return await Promise.race([this.read(), late]);
  }

  /**
   * What earlier processes of this replica had noted; what they still say of that, and comes late, is refused from now on.
   * Undefined: a later one began meanwhile. @throws Error where JetStream does not answer
   */
  async takeOver(): Promise<Map<string, Membership> | undefined> {
    if (await this.isTakenOver()) return undefined;
    await this.write(keyOf(this.replica), () => String(this.start));
    const noted = new Map<string, Membership>();
    const own = (await this.all()).get(this.replica);
    for (const node of own?.keys() ?? []) {
      const membership = await this.writeAnew(this.key(node));
      if (membership !== undefined) noted.set(node, membership);
    }
    return noted;
  }

  private async writeAnew(key: string): Promise<Membership | undefined> {
    let found: Membership | undefined;
    // Also where an earlier try wrote it.
    this.revisions.delete(key);
    await this.write(key, (text = '') => {
      found = membershipIn(text);
      return found && storedJson(found);
    });
    return found;
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
    await this.write(this.key(node), () => storedJson(membership));
  }

  /** Notes that a node's holder is dead: the next leader does not believe it. @throws Error when it is not kept */
  async forget(node: string): Promise<void> {
    await this.write(this.key(node), () => undefined);
  }

  // `make` gets what is there only where this process has not written it last. Undefined: there is to be nothing.
  private async write(key: string, make: (text?: string) => string | undefined): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const known = this.revisions.get(key);
      const { revision, text } = known === undefined ? await this.look(key) : { revision: known };
      // Until the answer is here, nobody knows.
      this.revisions.delete(key);
      const value = make(text);
      try {
        if (value !== undefined)
          this.revisions.set(key, await this.bucket.put(key, value, { previousSeq: revision }));
        else if (revision > 0) await this.bucket.purge(key, { previousSeq: revision });
        return;
      } catch (error) {
        if (apiCode(error) !== OTHER_REVISION) throw error;
      }
    }
    throw new Error(`another one writes what ${this.replica} notes, too`);
  }

  private async look(key: string): Promise<{ revision: number; text?: string }> {
    if (await this.isTakenOver()) throw new Error(`a later process of ${this.replica} has taken its place`);
    const entry = await this.bucket.get(key);
    const revision = entry?.revision ?? 0;
    return entry?.operation === 'PUT' ? { revision, text: entry.string() } : { revision };
  }

  private async isTakenOver(): Promise<boolean> {
    const newest = await this.bucket.get(keyOf(this.replica));
    return newest?.operation === 'PUT' && BigInt(newest.string()) > this.start;
  }

  private key(node: string): string {
    return `${keyOf(node)}.${keyOf(this.replica)}`;
  }
}
