// Node ends a snapshot with what it has compiled of all modules of its own, 4 MB that every start reads, where a command loads some
// forty of them after it has begun. The others are left out here. Whoever asks for one of those waits until it is compiled.
//
//   ... | how many | length, name, length, bytes | length, name, length, bytes | ... end of the file
//
// Numbers are of eight bytes, the low one first. Node says this of its format nowhere: what does not read so stays as it is.
const NUMBER_BYTES = 8;
const NAME = /^[\w/-]+$/;
const NAME_BYTES = 100;
/** Node has some four hundred. */
const LEAST = 100;
const MOST = 1_000;

interface Part {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** The snapshot with the compiled code of these modules alone; itself where that is not found. */
export function withCodeOf(snapshot: Buffer, modules: ReadonlySet<string>): Buffer {
  for (let at = 0; at + NUMBER_BYTES < snapshot.length; at++) {
    const parts = partsAt(snapshot, at);
    if (parts === undefined) continue;
    const kept = parts.filter(({ name }) => modules.has(name));
    const count = Buffer.alloc(NUMBER_BYTES);
    count.writeBigUInt64LE(BigInt(kept.length));
    return Buffer.concat([
      snapshot.subarray(0, at),
      count,
      ...kept.map(({ start, end }) => snapshot.subarray(start, end)),
    ]);
  }
  return snapshot;
}

/** Of a list that begins here, and is the end of the file; undefined where none does. */
function partsAt(snapshot: Buffer, at: number): Part[] | undefined {
  const count = numberAt(snapshot, at);
  if (!(count >= LEAST && count <= MOST)) return undefined;
  const parts: Part[] = [];
  let start = at + NUMBER_BYTES;
  for (let i = 0; i < count; i++) {
    const nameAt = start + NUMBER_BYTES;
    const bytesAt = nameAt + numberAt(snapshot, start);
    const name = snapshot.toString('latin1', nameAt, Math.min(bytesAt, nameAt + NAME_BYTES));
    if (!NAME.test(name)) return undefined;
    const end = bytesAt + NUMBER_BYTES + numberAt(snapshot, bytesAt);
    if (!(end <= snapshot.length)) return undefined;
    parts.push({ name, start, end });
    start = end;
  }
  return start === snapshot.length ? parts : undefined;
}

/** Not a number beyond the end. */
function numberAt(snapshot: Buffer, at: number): number {
  if (!(at + NUMBER_BYTES <= snapshot.length)) return Number.NaN;
  return snapshot.readUInt32LE(at + 4) === 0 ? snapshot.readUInt32LE(at) : Number.NaN;
}
