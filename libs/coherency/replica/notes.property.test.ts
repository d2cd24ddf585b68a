import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Note } from './note.ts';
import { NOTE_MS, Notes } from './notes.ts';
import { ReplicaOutbox } from './outbox.ts';

type Act =
  | { type: 'ask'; about: Note['about']; node: string }
  | { type: 'answer'; at: number; kept: boolean; twice: boolean }
  | { type: 'wait'; ms: number }
  | { type: 'cancel'; at: number };

const node = fc.constantFrom('N', 'M');
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({
    type: fc.constant('ask' as const),
    about: fc.constantFrom('taken-in', 'dead', 'rebuilt'),
    node,
  }),
  fc.record({
    ...{ type: fc.constant('answer' as const), at: fc.nat(4), kept: fc.boolean(), twice: fc.boolean() },
  }),
  fc.record({ type: fc.constant('wait' as const), ms: fc.nat(NOTE_MS) }),
  fc.record({ type: fc.constant('cancel' as const), at: fc.nat(30) }),
);

const noteOf = (about: Note['about'], of: string): Note => {
  if (about === 'rebuilt') return { about, shard: 0 };
  return about === 'dead'
    ? { about, node: of }
    : { about, node: of, membership: { incarnation: 1n, life: 1n } };
};

function run(alone: boolean, acts: readonly Act[]): void {
  const out = new ReplicaOutbox();
  const notes = new Notes<number>({ alone, out });
  const asked: { note: Note; atMs: number; cancelled: boolean }[] = [];
  const told = new Map<number, boolean>();
  const underWay: { number: number; note: Note }[] = [];
  let nowMs = 0;
  const look = (): void => {
    for (const action of out.take()) {
      if (action.type !== 'note') continue;
      const { what } = action;
      // What is said of a node is said in order: nothing else of it is under way.
      if (what.about !== 'rebuilt')
        for (const { note } of underWay) expect(note).not.toMatchObject({ node: what.node });
      underWay.push({ number: action.note, note: what });
    }
    for (const { for: index, kept } of notes.take()) {
      expect(told.has(index), 'an outcome is told once').toBe(false);
      told.set(index, kept);
      const { note, atMs, cancelled } = asked[index]!;
      expect(cancelled).toBe(false);
      if (!alone && kept && note.about !== 'taken-in') expect(nowMs - atMs).toBeLessThan(NOTE_MS);
      if (alone && note.about === 'dead') expect(kept).toBe(true);
    }
  };
  const answer = (at: number, kept: boolean, twice: boolean): void => {
    const [each] = underWay.splice(at % Math.max(1, underWay.length), 1);
    if (each === undefined) return;
    for (let i = 0; i <= Number(twice); i++) {
      notes.noted(each.number, kept, 'refused', nowMs);
      look();
    }
  };
  for (const each of acts) {
    if (each.type === 'ask') {
      const note = noteOf(each.about, each.node);
      asked.push({ note, atMs: nowMs, cancelled: false });
      notes.ask(note, asked.length - 1, nowMs);
    } else if (each.type === 'answer') answer(each.at, each.kept, each.twice);
    else if (each.type === 'cancel') {
      const one = asked[each.at];
      if (one !== undefined && !told.has(each.at)) one.cancelled = true;
      notes.cancel((index) => index === each.at);
    } else {
      nowMs += each.ms;
      notes.tick(nowMs);
    }
    look();
  }
  // In the end all is answered, and all of that is told.
  for (let i = 0; i < 4 * acts.length + 4; i++) {
    nowMs += 2_000;
    notes.tick(nowMs);
    look();
    while (underWay.length > 0) answer(0, true, false);
  }
  expect(notes.pending).toBe(0);
  for (const [index, { cancelled }] of asked.entries()) expect(told.has(index)).toBe(!cancelled);
}

test('each note has one outcome; of a node one is under way; what is late is not kept; who is alone tries again', () => {
  fc.assert(fc.property(fc.boolean(), fc.array(act, { maxLength: 40 }), run), { numRuns: 400 });
});
