// The identities of a cluster that runs, should somebody delete its folder: a service that starts again needs its own, and so
// does whoever looks at the cluster or ends it.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** More is no folder of identities. */
const FILES_LIMIT = 2_000;
const BYTES_LIMIT = 256 * 1024;

export class KeptIdentities {
  readonly #dir: string;
  #files = new Map<string, Buffer>();
  #stamp = '';

  constructor(dir: string) {
    this.#dir = dir;
    this.look();
  }

  /** Takes in what changed; where the folder is gone, makes it anew. @returns true: it was gone */
  look(): boolean {
    if (existsSync(this.#dir)) {
      const stamp = this.#stampNow();
      if (stamp === this.#stamp) return false;
      this.#files = new Map(this.#read());
      this.#stamp = stamp;
      return false;
    }
    if (this.#files.size === 0) return false;
    for (const [path, bytes] of this.#files) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(path, bytes, { mode: 0o600 });
    }
    return true;
  }

  #folders(): string[] {
    return readdirSync(this.#dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => join(this.#dir, name));
  }

  /** Each file is replaced by renaming, which its folder shows. */
  #stampNow(): string {
    return this.#folders()
      .map((folder) => `${folder} ${statSync(folder, { throwIfNoEntry: false })?.mtimeMs}`)
      .join();
  }

  *#read(): Generator<[string, Buffer]> {
    let count = 0;
    for (const folder of this.#folders()) {
      for (const name of readdirSync(folder)) {
        const path = join(folder, name);
        const stat = statSync(path, { throwIfNoEntry: false });
        if (!stat?.isFile() || stat.size > BYTES_LIMIT || ++count > FILES_LIMIT) continue;
        yield [path, readFileSync(path)];
      }
    }
  }
}
