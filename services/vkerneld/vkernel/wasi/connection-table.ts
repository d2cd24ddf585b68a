// The connections of one process. Node closes the files of a thread that ends, for it opened them; of sockets it knows nothing. So
// the thread notes them in shared memory, and the main thread closes what is left there when the thread has ended.
import { closeSync } from 'node:fs';
import { endsWell } from '@odonata/userfault/named-sockets.ts';

const PLACES = 1024;

export class ConnectionTable {
  /** A descriptor of the host and one more; 0: free. */
  readonly places: Int32Array<SharedArrayBuffer>;

  constructor(shared = new SharedArrayBuffer(PLACES * 4)) {
    this.places = new Int32Array(shared);
  }

  keep(host: number): void {
    // A process has no more descriptors than there are places; another thread of it may take the same one.
    for (let place = this.places.indexOf(0); place >= 0; place = this.places.indexOf(0))
      if (Atomics.compareExchange(this.places, place, 0, host + 1) === 0) return;
  }

  close(host: number): void {
    const place = this.places.indexOf(host + 1);
    if (place >= 0) Atomics.store(this.places, place, 0);
    endsWell(host);
    closeSync(host);
  }

  /** The thread has ended. @param resets it was ended: so the other sides of connections by name hear of a reset, and not of an end */
  closeAll(resets = false): void {
    for (const [i, entry] of this.places.entries()) {
      if (entry === 0) continue;
      this.places[i] = 0;
      if (!resets) endsWell(entry - 1);
      closeSync(entry - 1);
    }
  }
}
