// What a peer can do of what shared memory does.

export const RECORD = Buffer.alloc(64, 7);

export interface Peer {
  ready(): Promise<void>;
  /** Those of some records, asked for at once. @returns how many */
  read(records: readonly number[]): Promise<number>;
  write(record: number): Promise<void>;
  /** Adds one to the number that all have. @returns 1 */
  add(): Promise<number>;
  /** `ping` sends an item and waits for another one; `pong` waits for one and sends another. */
  trip(side: 'ping' | 'pong'): Promise<void>;
  put(count: number): Promise<void>;
  /** Waits for items. @returns how many it got, at most so many */
  take(most: number): Promise<number>;
  close(): Promise<void>;
}
