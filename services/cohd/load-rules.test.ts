// What a load does with the record that is known: each line of the table at the top of load-rules.ts.
import { Code } from '@odonata/rpc/error.ts';
import { describe, expect, it } from 'vitest';
import { abandonLoad, type BegunLoad, beginLoad, endLoad } from './load-rules.ts';
import type { DataspaceRecord, UnendedLoad } from './registry.ts';

const alice = { user: 'alice', groups: [], all: false };
const bob = { user: 'bob', groups: [], all: false };
const record = (about: Partial<DataspaceRecord> = {}): DataspaceRecord => ({
  ...{ id: 7n, name: 'd', sizeBytes: 100n, creator: 'node1', creatorIncarnation: 3n, durable: false },
  ...{ owner: 'alice', group: '', mode: 0o600, ...about },
});
const wanted = (about: Partial<BegunLoad> = {}): BegunLoad => ({
  ...{ name: 'd', sizeBytes: 100n, loadBytes: 60n, load: 2n, group: '' },
  ...{ creator: 'node2', creatorIncarnation: 4n, ...about },
});
const mark = (about: Partial<UnendedLoad> = {}): UnendedLoad => ({
  ...{ id: 1n, bytes: 80n, least: 80n, made: false, ...about },
});
const code = (wrong: () => unknown): Code => {
  try {
    wrong();
  } catch (error) {
    return (error as { code: Code }).code;
  }
  throw new Error('nothing stood in the way');
};

describe('begin', () => {
  it('no such name: made, marked, and counted for who asks', () => {
    expect(beginLoad(undefined, wanted(), alice)).toMatchObject({
      ...{ do: 'make', countsFor: 'alice' },
      record: { owner: 'alice', sizeBytes: 100n, load: { id: 2n, bytes: 60n, least: 60n, made: true } },
    });
    expect(beginLoad(undefined, wanted(), { ...alice, all: true })).toMatchObject({ countsFor: undefined });
    expect(code(() => beginLoad(undefined, wanted({ sizeBytes: 0n }), alice))).toBe(Code.NotFound);
  });

  it('whole: marked, and as large as it was', () => {
    expect(beginLoad(record(), wanted(), alice)).toMatchObject({
      ...{ do: 'mark', record: { id: 7n } },
      marks: { load: { id: 2n, bytes: 60n, least: 60n, made: false } },
    });
    expect(code(() => beginLoad(record(), wanted({ sizeBytes: 50n, loadBytes: 0n }), alice))).toBe(
      Code.AlreadyExists,
    );
  });

  it('of an earlier one that broke off: as many bytes are to come as that was to bring', () => {
    expect(beginLoad(record({ load: mark() }), wanted(), alice)).toMatchObject({
      marks: { load: { id: 2n, bytes: 80n, least: 80n, made: false } },
    });
  });

  it('of an earlier one that made it: made anew, whose it was, as durable as it was', () => {
    const load = mark({ made: true });
    const open = record({ load, mode: 0o666, durable: true });
    expect(beginLoad(open, wanted({ sizeBytes: 200n }), bob)).toMatchObject({
      ...{ do: 'make-anew', instead: open },
      record: { owner: 'alice', mode: 0o666, durable: true, sizeBytes: 200n, load: { id: 2n, made: true } },
    });
  });

  it('again by the same load: the answer', () => {
    const known = record({ load: mark({ id: 2n, made: true }) });
    expect(beginLoad(known, wanted(), alice)).toEqual({ do: 'answer', answer: known });
  });

  it('is refused to who may not write, and where there is no room, before anything is stored', () => {
    expect(code(() => beginLoad(record(), wanted(), bob))).toBe(Code.PermissionDenied);
    expect(code(() => beginLoad(record(), wanted({ loadBytes: 101n }), alice))).toBe(Code.OutOfRange);
    expect(code(() => beginLoad(undefined, wanted({ loadBytes: 101n }), alice))).toBe(Code.OutOfRange);
  });
});

describe('end', () => {
  const ended = { name: 'd', dataspace: 7n, load: 1n, loadedBytes: 80n };

  it('of the load that marks it: whole', () => {
    expect(endLoad(record({ load: mark() }), ended)).toMatchObject({ do: 'mark', marks: { loaded: 1n } });
  });

  it('with fewer bytes than were to come: it stays marked', () => {
    const few = { ...ended, loadedBytes: 79n };
    expect(code(() => endLoad(record({ load: mark() }), few))).toBe(Code.FailedPrecondition);
  });

  it('of another load: marked again, and that is what is said', () => {
    for (const load of [mark({ id: 9n, bytes: 90n }), undefined])
      expect(endLoad(record({ load }), ended)).toMatchObject({
        ...{ do: 'mark', says: { code: Code.Aborted } },
        marks: { load: { id: 1n, bytes: load ? 90n : 80n, made: false } },
      });
  });

  it('with more bytes than the dataspace has: nothing is stored, for lists with such a record could not be read', () => {
    const much = { ...ended, loadedBytes: 2n ** 64n - 1n };
    for (const load of [mark(), mark({ id: 9n }), undefined])
      expect(code(() => endLoad(record({ load }), much))).toBe(Code.OutOfRange);
  });

  it('again: the answer; of what is not there any more: it says so', () => {
    expect(endLoad(record({ loaded: 1n }), ended)).toEqual({ do: 'answer', answer: true });
    for (const known of [undefined, record({ id: 8n })])
      expect(code(() => endLoad(known, ended))).toBe(Code.Aborted);
  });
});

describe('abandon', () => {
  const about = { name: 'd', dataspace: 7n, load: 1n };
  const nothing = { do: 'answer', answer: { removed: false } };

  it('of the load that made it: removed', () => {
    expect(abandonLoad(record({ load: mark({ made: true }) }), about)).toMatchObject({ do: 'remove' });
  });

  it('of one that only marked it: it stays as it is, marked', () => {
    expect(abandonLoad(record({ load: mark() }), about)).toEqual(nothing);
    expect(abandonLoad(record({ load: mark({ id: 9n, made: true }) }), about)).toEqual(nothing);
  });

  it('after another one ended meanwhile: marked, for both wrote', () => {
    expect(abandonLoad(record(), about)).toMatchObject({
      do: 'mark',
      marks: { load: { id: 1n, bytes: 100n } },
    });
  });

  it('of one that ended, or of what is not there any more: nothing', () => {
    for (const known of [undefined, record({ id: 8n }), record({ loaded: 1n })])
      expect(abandonLoad(known, about)).toEqual(nothing);
  });
});
