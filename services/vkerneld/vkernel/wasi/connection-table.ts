// The connections of one process, and files that its thread opened by calls of the host (host-calls.ts). Node closes the files of a thread that ends, for it opened them; of sockets it knows nothing. So
// the thread notes them in shared memory, and the main thread closes what is left there when the thread has ended.
import { closeSync } from 'node:fs';
import { endsWell } from '@odonata/userfault/named-sockets.ts';

const PLACES = 1024;
const RESERVED = -1;

export class ConnectionTable {
  /** A descriptor of the host and one more; 0: free; RESERVED: what is being opened. */
  readonly places: Int32Array<SharedArrayBuffer>;

  constructor(shared = new SharedArrayBuffer(PLACES * 4)) {
    this.places = new Int32Array(shared);
  }

  keep(host: number): void {
    // A process has no more descriptors than there are places; another thread of it may take the same one.
    for (let place = this.places.indexOf(0); place >= 0; place = this.places.indexOf(0))
      if (Atomics.compareExchange(this.places, place, 0, host + 1) === 0) return;
  }

  /** A place for what is about to be opened, whose number and one more is stored there; below 0: there is none. */
  reserve(): number {
    for (let place = this.places.indexOf(0); place >= 0; place = this.places.indexOf(0))
      if (Atomics.compareExchange(this.places, place, 0, RESERVED) === 0) return place;
    return -1;
  }

  /** Whoever calls closes it. */
  forget(host: number): void {
    const place = this.places.indexOf(host + 1);
    if (place >= 0) Atomics.store(this.places, place, 0);
  }

  close(host: number): void {
    this.forget(host);
    endsWell(host);
    closeSync(host);
  }

  /** The thread has ended. @param resets it was ended: so the other sides of connections by name hear of a reset, and not of an end */
  closeAll(resets = false): void {
    for (const [i, entry] of this.places.entries()) {
      this.places[i] = 0;
      if (entry === 0 || entry === RESERVED) continue;
      if (!resets) endsWell(entry - 1);
      closeSync(entry - 1);
    }
  }
}
