// The bucket "members" in memory: it keeps, refuses or holds back what is noted, as a test wants it.
import type { KV } from 'nats';

export type Trouble = 'none' | 'refuses' | 'keeps, and does not say so' | 'neither keeps nor answers';

export class MemberBucket {
  readonly kept = new Map<string, string>();
  /** What befalls a note; `what` is put or purge. */
  trouble: (what: 'put' | 'purge') => Trouble = () => 'none';

  get kv(): KV {
    return this as unknown as KV;
  }

  async put(key: string, value: string): Promise<number> {
    await this.meet('put', () => this.kept.set(key, value));
    return 1;
  }

  async purge(key: string): Promise<void> {
    await this.meet('purge', () => this.kept.delete(key));
  }

  async keys(): Promise<AsyncIterable<string>> {
    const keys = [...this.kept.keys()];
    return (async function* () {
      yield* keys;
    })();
  }

  async get(key: string): Promise<{ operation: string; string(): string } | null> {
    const value = this.kept.get(key);
    return value === undefined ? null : { operation: 'PUT', string: () => value };
  }

  private async meet(what: 'put' | 'purge', keep: () => void): Promise<void> {
    const trouble = this.trouble(what);
    if (trouble === 'refuses') throw new Error(`the bucket refuses a ${what}`);
    if (trouble !== 'neither keeps nor answers') keep();
    if (trouble !== 'none') await new Promise(() => {});
  }
}
