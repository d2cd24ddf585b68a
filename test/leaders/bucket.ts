// The bucket "members" in memory: it keeps, refuses or holds back what is noted, as a test wants it.
import { type KV, NatsError } from 'nats';

export type Trouble =
  | 'none'
  | 'refuses'
  | 'keeps, and does not say so'
  | 'neither keeps nor answers'
  | 'keeps late, and does not say so';

interface Entry {
  revision: number;
  /** None: it was purged. */
  value: string | undefined;
}

export class MemberBucket {
  /** What befalls a note; `what` is put or purge. */
  trouble: (what: 'put' | 'purge') => Trouble = () => 'none';
  /** Notes that are under way. */
  readonly late: (() => void)[] = [];
  private readonly entries = new Map<string, Entry>();
  private revision = 0;

  get kv(): KV {
    return this as unknown as KV;
  }

  get kept(): ReadonlyMap<string, string> {
    const kept = [...this.entries].flatMap(([key, { value }]) =>
      value === undefined ? [] : [[key, value] as const],
    );
    return new Map(kept);
  }

  async put(key: string, value: string, { previousSeq }: { previousSeq?: number } = {}): Promise<number> {
    return await this.meet('put', () => this.keep(key, value, previousSeq));
  }

  async purge(key: string, { previousSeq }: { previousSeq?: number } = {}): Promise<void> {
    await this.meet('purge', () => this.keep(key, undefined, previousSeq));
  }

  async keys(): Promise<AsyncIterable<string>> {
    const keys = [...this.kept.keys()];
    return (async function* () {
      yield* keys;
    })();
  }

  async get(key: string): Promise<{ operation: string; revision: number; string(): string } | null> {
    const entry = this.entries.get(key);
    if (entry === undefined) return null;
    const { revision, value } = entry;
    return { operation: value === undefined ? 'PURGE' : 'PUT', revision, string: () => value ?? '' };
  }

  private keep(key: string, value: string | undefined, previousSeq: number | undefined): number {
    if (previousSeq !== undefined && previousSeq !== (this.entries.get(key)?.revision ?? 0)) {
      const error = new NatsError('wrong last sequence', '400');
      error.api_error = { code: 400, err_code: 10071, description: error.message };
      throw error;
    }
    const revision = ++this.revision;
    this.entries.set(key, { revision, value });
    return revision;
  }

  private async meet(what: 'put' | 'purge', keep: () => number): Promise<number> {
    const trouble = this.trouble(what);
    if (trouble === 'refuses') throw new Error(`the bucket refuses a ${what}`);
    if (trouble === 'keeps late, and does not say so') this.late.push(keep);
    if (trouble === 'keeps, and does not say so' || trouble === 'none') {
      const revision = keep();
      if (trouble === 'none') return revision;
    }
    return await new Promise(() => {});
  }
}
