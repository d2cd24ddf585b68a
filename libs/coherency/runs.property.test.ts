// What happens to a run is what happens to each of its pages: the machines are fed with runs, and their twins with the
// same page by page. Cutting and joining must not be seen.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Directory } from './directory/directory.ts';
import type { DirectoryAction, DirectoryEvent, HeldRun } from './directory/directory-messages.ts';
import { Holder } from './holder/holder.ts';
import type { HolderAction, HolderEvent } from './holder/holder-messages.ts';
import type { PageRun } from './page.ts';

const PAGES = 12;
const DS = 1n;
const spanOf = fc
  .tuple(fc.nat(PAGES - 1), fc.integer({ min: 1, max: PAGES }))
  .map(([firstPage, count]) => ({ dataspace: DS, firstPage, pageCount: Math.min(count, PAGES - firstPage) }));
const holder = fc.integer({ min: 1, max: 3 });
const mode = fc.constantFrom('READ' as const, 'WRITE' as const);
const flag = fc.boolean();

const pagesOf = ({ dataspace, firstPage, pageCount }: PageRun): PageRun[] =>
  Array.from({ length: pageCount }, (_, i) => ({ dataspace, firstPage: firstPage + i, pageCount: 1 }));

/** By page, what was said of it, in order. */
function byPage(actions: readonly (DirectoryAction | HolderAction)[]): Map<number, unknown[]> {
  const said = new Map<number, unknown[]>();
  for (const action of actions) {
    if (action.type === 'report') continue;
    const { run, ...rest } = action;
    for (const { firstPage } of pagesOf(run)) said.set(firstPage, [...(said.get(firstPage) ?? []), rest]);
  }
  return new Map([...said].sort(([a], [b]) => a - b));
}

type Move =
  | { what: 'acquire'; holder: number; run: PageRun; mode: 'READ' | 'WRITE'; needed: number; stored: boolean }
  | { what: 'answer'; which: number; part: PageRun; absent: boolean }
  | { what: 'release'; holder: number; run: PageRun }
  | { what: 'leave'; holder: number }
  | { what: 'tick' };

const move: fc.Arbitrary<Move> = fc.oneof(
  fc.record({
    ...{ what: fc.constant('acquire' as const), holder, run: spanOf, mode, stored: flag },
    needed: fc.nat(PAGES),
  }),
  fc.record({
    ...{ what: fc.constant('answer' as const), which: fc.nat(20), part: spanOf },
    absent: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  }),
  fc.record({ what: fc.constant('release' as const), holder, run: spanOf }),
  fc.record({ what: fc.constant('leave' as const), holder }),
  fc.record({ what: fc.constant('tick' as const) }),
);

const held: fc.Arbitrary<HeldRun> = fc.record({
  ...{ run: spanOf, version: fc.integer({ min: 0, max: 2 }), kept: flag, keptFor: fc.constant(9n) },
  state: fc.constantFrom('MASTER' as const, 'MASTER' as const, 'SLAVE' as const, 'MODIFIED' as const),
});
/** What holders tell a directory that starts anew. */
const reports = fc.array(
  fc.record({ holder, held: fc.array(held, { maxLength: 4 }), reborn: flag, lost: flag }),
  { maxLength: 3 },
);

const meet = (a: PageRun, b: PageRun): PageRun | undefined => {
  const firstPage = Math.max(a.firstPage, b.firstPage);
  const pageCount = Math.min(a.firstPage + a.pageCount, b.firstPage + b.pageCount) - firstPage;
  return pageCount > 0 ? { dataspace: DS, firstPage, pageCount } : undefined;
};

/** What the holders answer to these. */
function answersTo(action: DirectoryAction, absent: boolean, run: PageRun): DirectoryEvent[] {
  if (action.type === 'recall') {
    const { version } = action;
    if (absent) return [{ type: 'ack', holder: action.holder, run, version, kind: 'ABSENT' }];
    return [
      { type: 'ack', holder: action.holder, run, version, kind: 'SENT' },
      { type: 'ack', holder: action.receiver, run, version, kind: 'RECEIVED' },
    ];
  }
  if (action.type !== 'invalidate') return [];
  const { version } = action;
  return action.holders.map((h) => ({ type: 'ack', holder: h, run, version, kind: 'INVALIDATED' }));
}

function pageByPage(event: DirectoryEvent): DirectoryEvent[] {
  if (event.type === 'report') {
    const { held } = event;
    return [{ ...event, held: held.flatMap((h) => pagesOf(h.run).map((run) => ({ ...h, run }))) }];
  }
  if (!('run' in event)) return [event];
  return pagesOf(event.run).map((run, i) =>
    event.type === 'acquire'
      ? { ...event, run, neededPages: i < event.neededPages ? 1 : 0 }
      : { ...event, run },
  );
}

test.each([{ home: true }, { home: false }])('a directory of runs is one of pages: %j', ({ home }) => {
  fc.assert(
    fc.property(
      fc.array(move, { maxLength: 60 }),
      reports,
      flag,
      flag,
      (moves, told, durable, hasCreator) => {
        const [runs, pages] = [new Directory({ home }), new Directory({ home })];
        const alive = new Set<number>();
        let nowMs = 0;
        let asked: DirectoryAction[] = [];
        const feed = (event: DirectoryEvent): void => {
          const said = runs.step(event);
          const twin = pageByPage(event).flatMap((each) => pages.step(each));
          expect(byPage(said)).toEqual(byPage(twin));
          asked = [...asked, ...said.filter(({ type }) => type === 'recall' || type === 'invalidate')].slice(
            -20,
          );
        };
        const come = (id: number): void => {
          if (alive.has(id)) return;
          alive.add(id);
          feed({ type: 'join', holder: id });
        };
        for (const id of [1, 2, 3]) come(id);
        feed({
          type: 'create',
          dataspace: DS,
          pageCount: PAGES,
          creator: hasCreator && !home ? 1 : 0,
          durable,
        });
        for (const { holder: by, held, reborn, lost } of home ? [] : told)
          feed({ type: 'report', holder: by, held, voided: lost ? [DS] : [], reborn });
        if (!home) feed({ type: 'rebuilt' });
        for (const each of moves) {
          if (each.what === 'acquire') {
            const { run, needed: neededPages } = each;
            const lostVersion = runs.inspect(DS, run.firstPage).version;
            const stored =
              each.stored && !home && each.mode === 'WRITE' ? { storedVersion: 5, lostVersion } : {};
            come(each.holder);
            feed({
              type: 'acquire',
              holder: each.holder,
              run,
              mode: each.mode,
              neededPages,
              alone: true,
              ...stored,
            });
          } else if (each.what === 'answer') {
            const action = asked[each.which % Math.max(1, asked.length)];
            const part = action === undefined ? undefined : meet(action.run, each.part);
            if (action !== undefined && part !== undefined)
              for (const answer of answersTo(action, each.absent && !home, part)) feed(answer);
          } else if (each.what === 'release') {
            if (home) feed({ type: 'release', holder: each.holder, run: each.run });
          } else if (each.what === 'leave') {
            if (alive.delete(each.holder)) feed({ type: 'leave', holder: each.holder });
          } else {
            nowMs += 2_000;
            feed({ type: 'tick', nowMs });
          }
          for (let page = 0; page < PAGES; page++)
            expect(runs.inspect(DS, page)).toEqual(pages.inspect(DS, page));
        }
      },
    ),
    { numRuns: 300 },
  );
});

const version = fc.integer({ min: 1, max: 4 });
const heard: fc.Arbitrary<HolderEvent> = fc.oneof(
  fc.record({ type: fc.constant('want' as const), run: spanOf, mode, neededPages: fc.nat(PAGES) }),
  fc.record({
    ...{ type: fc.constant('grant' as const), run: spanOf, version, zero: flag, restore: flag },
    ...{ state: fc.constantFrom('SHARED' as const, 'MASTER' as const), stored: fc.constant(false) },
  }),
  fc.record({
    ...{ type: fc.constant('data' as const), run: spanOf, version, zero: flag },
    state: fc.constantFrom('SHARED' as const, 'SLAVE' as const, 'INVALID' as const),
  }),
  fc.record({
    ...{ type: fc.constant('recall' as const), run: spanOf, mode, version, receiver: holder },
    ...{ receiverIdentity: fc.constant(7n), receiverState: fc.constant('MODIFIED' as const) },
  }),
  fc.record({ type: fc.constant('invalidate' as const), run: spanOf, version, anew: fc.constant(true) }),
  fc.record({ type: fc.constant('settled' as const), run: spanOf, version }),
  fc.record({
    ...{ type: fc.constant('refuse' as const), run: spanOf, mode, version },
    reason: fc.constantFrom('LOST' as const, 'SKIPPED' as const),
  }),
  fc.record({ type: fc.constant('rejoin' as const), sameDirectory: flag }),
  fc.record({ type: fc.constant('expire' as const) }),
);

function heldByPage(held: readonly HeldRun[]): unknown[] {
  return held.flatMap(({ run, ...rest }) => pagesOf(run).map(({ firstPage }) => ({ firstPage, ...rest })));
}

test('a holder of runs is one of pages', () => {
  fc.assert(
    fc.property(fc.array(heard, { maxLength: 60 }), flag, (events, whole) => {
      const [runs, pages] = [new Holder(), new Holder()];
      for (const each of [runs, pages]) each.step({ type: 'open', dataspace: DS, pageCount: PAGES, whole });
      for (const event of events) {
        const said = runs.step(event);
        const parts: HolderEvent[] =
          'run' in event ? pagesOf(event.run).map((run, i) => partOf(event, run, i)) : [event];
        const twin = parts.flatMap((part) => pages.step(part));
        expect(byPage(said)).toEqual(byPage(twin));
        for (const [a, b] of [[said, twin]] as const) {
          const reports = [a, b].map((all) =>
            all.flatMap((x) => (x.type === 'report' ? heldByPage(x.held) : [])),
          );
          expect(reports[0]).toEqual(reports[1]);
        }
        for (let page = 0; page < PAGES; page++) {
          expect(runs.state(DS, page)).toBe(pages.state(DS, page));
          expect(runs.version(DS, page)).toBe(pages.version(DS, page));
          expect(runs.pending(DS, page)).toBe(pages.pending(DS, page));
        }
      }
    }),
    { numRuns: 300 },
  );
});

function partOf(event: Extract<HolderEvent, { run: unknown }>, run: PageRun, index: number): HolderEvent {
  if (event.type === 'want') return { ...event, run, neededPages: index < event.neededPages ? 1 : 0 };
  return { ...event, run };
}
