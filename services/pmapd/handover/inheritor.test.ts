// A dataspace that the cluster removes while its pmap manager hands over: its file is gone when the next one comes to it.
import { create } from '@bufbuild/protobuf';
import type { HolderSnapshot } from '@odonata/coherency/holder/holder-snapshot.ts';
import { NodeSnapshotSchema } from '@odonata/proto/pmap/v1/handover';
import { expect, test } from 'vitest';
import type { Node } from '../node.ts';
import { Inheritor } from './inheritor.ts';

/** A node that finds the files of these dataspaces, and what it takes over. */
function inheriting(files: readonly bigint[], code = 'ENOENT') {
  const known = new Map<bigint, object>();
  const held: HolderSnapshot[] = [];
  const node = {
    memory: {
      get: (id: bigint) => known.get(id),
      all: () => known.values(),
      resumeHolder: (_: number, snapshot: HolderSnapshot) => held.push(snapshot),
    },
    openings: {
      adopt({ id }: { id: bigint }) {
        if (!files.includes(id)) throw Object.assign(new Error(`${code}: no ds-${id}`), { code });
        const made = { id, file: { take() {} }, retained: new Map(), stored: new Map() };
        known.set(id, made);
        return made;
      },
    },
    sync: { resume() {} },
    farDesks: { resume() {} },
    inherit() {},
  } as unknown as Node;
  const inheritor = new Inheritor(node, () => {
    throw new Error('no session was handed over');
  });
  return { inheritor, known, held };
}

const about = (id: bigint) => ({ dataspace: id, name: `d${id}`, sizeBytes: 4096n });
const snapshot = (dataspaces: readonly bigint[]) =>
  create(NodeSnapshotSchema, {
    ...{ incarnation: 1n, sync: {}, dataspaces: dataspaces.map(about) },
    shards: [{ held: dataspaces.map((dataspace) => ({ dataspace, pageCount: 1 })) }],
  });

test('what is gone when it is copied ahead, or at the end, is skipped, and its pages are nobody’s', () => {
  const { inheritor, known, held } = inheriting([1n]);
  inheritor.copyAhead(create(NodeSnapshotSchema, { dataspaces: [1n, 2n].map(about) }));
  inheritor.finish(snapshot([1n, 2n]));
  expect([...known.keys()]).toEqual([1n]);
  expect(held.at(-1)!.removed).toEqual([2n]);
  expect(held.at(-1)!.dataspaces.map(({ dataspace }) => dataspace)).toEqual([1n]);
});

test('any other trouble ends it', () => {
  const { inheritor } = inheriting([], 'EMFILE');
  expect(() => inheritor.copyAhead(create(NodeSnapshotSchema, { dataspaces: [about(1n)] }))).toThrow(
    'EMFILE',
  );
});
