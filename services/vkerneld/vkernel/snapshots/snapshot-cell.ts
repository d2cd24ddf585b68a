// What the thread of a process and the main thread share for snapshots: whether somebody asked for one, and the globals of the program
// as they are while its thread stands in a call. Only of programs that ask for it.
//
//   words  0 somebody asked (1)   1 the globals are there (1)   2 descriptors that it began with
//   bigs   from byte 16 on: the globals, by their place among those that are exported
import { exportOfGlobal, type KeptGlobal } from '../wasm/kept-globals.ts';

const [ASKED, READY, BEGAN] = [0, 1, 2];
const HEADER_BYTES = 16;

export class SnapshotCell {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #globals: DataView;
  readonly #count: number;

  constructor(count: number, memory = new SharedArrayBuffer(HEADER_BYTES + count * 8)) {
    this.#count = count;
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, HEADER_BYTES / 4);
    this.#globals = new DataView(memory, HEADER_BYTES);
  }

  get asked(): boolean {
    return Atomics.load(this.#words, ASKED) !== 0;
  }

  set asked(asked: boolean) {
    Atomics.store(this.#words, ASKED, asked ? 1 : 0);
  }

  /** The program began: before that it has no globals. */
  get isReady(): boolean {
    return Atomics.load(this.#words, READY) !== 0;
  }

  /** Descriptors below this are those that it began with. */
  get began(): number {
    return this.#words[BEGAN]!;
  }

  /** As the thread left them at its call. */
  bits(): bigint[] {
    return Array.from({ length: this.#count }, (_, i) => this.#globals.getBigUint64(i * 8, true));
  }

  /** In the thread of the program. @param began undefined: it goes on, and began in another one. @returns what to do at each call */
  noter(exports: WebAssembly.Exports, globals: readonly KeptGlobal[], began: number | undefined): () => void {
    if (began !== undefined) this.#words[BEGAN] = began;
    const view = this.#globals;
    const notes = globals.map(({ index, type }, i) => {
      const { [exportOfGlobal(index)]: global } = exports as Record<string, WebAssembly.Global>;
      return () => store[type](view, i * 8, global!.value);
    });
    Atomics.store(this.#words, READY, 1);
    return () => {
      for (const note of notes) note();
    };
  }
}

const store: Readonly<Record<KeptGlobal['type'], (view: DataView, at: number, value: unknown) => void>> = {
  i32: (view, at, value) => view.setInt32(at, value as number, true),
  i64: (view, at, value) => view.setBigInt64(at, value as bigint, true),
  f32: (view, at, value) => view.setFloat32(at, value as number, true),
  f64: (view, at, value) => view.setFloat64(at, value as number, true),
};
