// Dataspaces of other clusters, whose gateway owns each page, and gateways that lend pages of this one: nobody inherits from the one, and
// the other inherits nothing.
import { expect, test } from 'vitest';
import { Directory } from './directory.ts';
import type { DirectoryAction, DirectoryEvent } from './directory-messages.ts';

const GATEWAY = 1;
const [ALICE, BOB] = [2, 3];
const run = { dataspace: 7n, firstPage: 0, pageCount: 1 };

class Talk {
  readonly directory = new Directory({ home: false });

  say(event: DirectoryEvent): string[] {
    return this.directory.step(event).map(shown);
  }

  reads(holder: number): string[] {
    return this.say({ type: 'acquire', holder, run, mode: 'READ', neededPages: 1, alone: true });
  }

  writes(holder: number): string[] {
    return this.say({ type: 'acquire', holder, run, mode: 'WRITE', neededPages: 1, alone: true });
  }

  received(holder: number): void {
    this.say({ type: 'ack', holder, run, version: this.directory.inspect(7n, 0).version, kind: 'RECEIVED' });
  }
}

function shown(action: DirectoryAction): string {
  switch (action.type) {
    case 'recall':
      return `recall ${action.holder} for ${action.receiver}`;
    case 'invalidate':
      return `invalidate ${action.holders.join()}${action.anew ? ' anew' : ''}`;
    case 'grant':
      return `grant ${action.holder} ${action.state}`;
    case 'refuse':
      return `refuse ${action.holder} ${action.reason}`;
    case 'settled':
      return 'settled';
  }
}

function talk(borrowed: boolean): Talk {
  const made = new Talk();
  for (const holder of [GATEWAY, ALICE, BOB]) made.say({ type: 'join', holder });
  made.say({ type: 'create', dataspace: 7n, pageCount: 4, creator: GATEWAY, borrowed });
  made.reads(ALICE);
  made.received(ALICE);
  return made;
}

test('what a gateway borrowed goes with it, before its death is noted', () => {
  const made = talk(true);
  expect(made.say({ type: 'dies', holder: GATEWAY })).toEqual(['invalidate 1,2,3 anew']);
  // Nobody gets it meanwhile.
  expect(made.reads(BOB)).toEqual([]);
  const { version } = made.directory.inspect(7n, 0);
  for (const holder of [ALICE, BOB])
    made.say({ type: 'ack', holder, run, version: version + 1, kind: 'INVALIDATED' });
  // Who only read it lost nothing by that: home has it.
  expect(made.say({ type: 'leave', holder: GATEWAY })).toEqual(['refuse 3 WITHDRAWN']);
  expect(made.reads(ALICE)).toEqual(['refuse 2 WITHDRAWN']);
  expect(made.directory.usage(7n).lost).toBe(0);
  // Of pages that nobody had asked for nobody has anything.
  expect(
    made.say({
      type: 'acquire',
      holder: BOB,
      run: { ...run, firstPage: 2 },
      mode: 'READ',
      neededPages: 1,
      alone: true,
    }),
  ).toEqual(['refuse 3 WITHDRAWN']);
});

test('of any other dataspace a reader inherits', () => {
  expect(talk(false).say({ type: 'leave', holder: GATEWAY })).toEqual(['grant 2 MASTER']);
});

test('a gateway that dies while it takes a page back, takes it from all', () => {
  const made = talk(true);
  const takes = made.say({
    type: 'acquire',
    holder: GATEWAY,
    run,
    mode: 'WRITE',
    neededPages: 1,
    alone: true,
  });
  expect(takes).toEqual(['invalidate 2']);
  expect(made.say({ type: 'dies', holder: GATEWAY })).toEqual(['invalidate 1,2,3 anew']);
});

/** ALICE reads the page, and BOB, who wants to write it. */
function upgrading(): Talk {
  const made = talk(true);
  made.reads(BOB);
  made.received(BOB);
  expect(made.writes(BOB)).toEqual(['invalidate 1,2']);
  return made;
}

test('a gateway that has to take a page back declines what waits for it: that goes first, and the other one comes again, with a later version', () => {
  const made = upgrading();
  const { version } = made.directory.inspect(7n, 0);
  made.say({ type: 'ack', holder: ALICE, run, version: version + 1, kind: 'INVALIDATED' });
  // Asked for before that.
  expect(made.writes(GATEWAY)).toEqual([]);
  expect(made.say({ type: 'ack', holder: GATEWAY, run, version: version + 1, kind: 'DECLINED' })).toEqual([
    'invalidate 2,3',
  ]);
  // Twice is once, and what was answered before is of no use.
  expect(made.say({ type: 'ack', holder: GATEWAY, run, version: version + 1, kind: 'DECLINED' })).toEqual([]);
  expect(made.say({ type: 'ack', holder: BOB, run, version: version + 1, kind: 'INVALIDATED' })).toEqual([]);
  for (const holder of [ALICE, BOB])
    made.say({ type: 'ack', holder, run, version: version + 2, kind: 'INVALIDATED' });
  expect(made.directory.inspect(7n, 0)).toMatchObject({ busy: true, owner: GATEWAY, version: version + 2 });
  expect(made.say({ type: 'tick', nowMs: 10_000 })).toEqual(['recall 1 for 3']);
});

test('nobody else declines, and a gateway not what it answered', () => {
  const made = upgrading();
  const { version } = made.directory.inspect(7n, 0);
  expect(made.say({ type: 'ack', holder: ALICE, run, version: version + 1, kind: 'DECLINED' })).toEqual([]);
  made.say({ type: 'ack', holder: GATEWAY, run, version: version + 1, kind: 'INVALIDATED' });
  expect(made.say({ type: 'ack', holder: GATEWAY, run, version: version + 1, kind: 'DECLINED' })).toEqual([]);
  expect(made.say({ type: 'ack', holder: ALICE, run, version: version + 1, kind: 'INVALIDATED' })).toEqual([
    'grant 3 MODIFIED',
  ]);
});

test('what a node wrote of it goes with the gateway, too, and what waits for that is granted to nobody', () => {
  const made = upgrading();
  const { version } = made.directory.inspect(7n, 0);
  made.say({ type: 'ack', holder: ALICE, run, version: version + 1, kind: 'INVALIDATED' });
  expect(made.say({ type: 'dies', holder: GATEWAY })).toEqual(['invalidate 1,2,3 anew']);
  const written = upgrading();
  for (const holder of [ALICE, GATEWAY])
    written.say({ type: 'ack', holder, run, version: version + 1, kind: 'INVALIDATED' });
  expect(written.directory.inspect(7n, 0).owner).toBe(BOB);
  expect(written.say({ type: 'dies', holder: GATEWAY })).toEqual(['invalidate 1,2,3 anew']);
  for (const each of [made, written]) {
    for (const holder of [ALICE, BOB])
      each.say({
        ...{ type: 'ack', holder, run, version: each.directory.inspect(7n, 0).version + 1 },
        kind: 'INVALIDATED',
      });
    // Whether BOB has written it yet nobody knows.
    const [refused] = each.say({ type: 'leave', holder: GATEWAY });
    expect(refused ?? each.reads(ALICE)[0]).toMatch(/LOST$/);
    expect(each.directory.usage(7n).lost).toBe(1);
  }
});

test('what its cluster took back is not lost, and what is gone with a node is', () => {
  const made = talk(true);
  expect(made.reads(BOB)).toEqual(['recall 1 for 3']);
  const { version } = made.directory.inspect(7n, 0);
  expect(made.say({ type: 'ack', holder: GATEWAY, run, version, kind: 'WITHDRAWN' })).toEqual([
    'invalidate 1,2,3 anew',
  ]);
  for (const holder of [GATEWAY, ALICE])
    made.say({ type: 'ack', holder, run, version: version + 1, kind: 'INVALIDATED' });
  const last = { type: 'ack', holder: BOB, run, version: version + 1, kind: 'INVALIDATED' } as const;
  expect(made.say(last)).toEqual(['refuse 3 WITHDRAWN']);
  expect(made.directory.lostRuns(7n)).toEqual([]);
  // The gateway has it anew, and a node dies with it.
  const anew = { storedVersion: 0, lostVersion: version + 1, alone: true, neededPages: 1 };
  expect(made.say({ type: 'acquire', holder: GATEWAY, run, mode: 'WRITE', ...anew })).toEqual([
    'grant 1 MODIFIED',
  ]);
  expect(made.writes(BOB)).toEqual(['recall 1 for 3']);
  made.received(BOB);
  made.say({ type: 'ack', holder: BOB, run, version: version + 3, kind: 'RECEIVED' });
  expect(made.directory.inspect(7n, 0).owner).toBe(BOB);
  made.say({ type: 'leave', holder: BOB });
  expect(made.directory.lostRuns(7n)).toEqual([run]);
});

test('only a gateway says of a dataspace that it was taken back', () => {
  const made = talk(false);
  made.reads(BOB);
  const { version } = made.directory.inspect(7n, 0);
  made.say({ type: 'ack', holder: GATEWAY, run, version, kind: 'WITHDRAWN' });
  made.say({ type: 'leave', holder: ALICE });
  expect(made.reads(BOB)).toEqual(['refuse 3 LOST']);
});

test('a lender that owns a page says that it has it no more', () => {
  const made = new Talk();
  made.say({ type: 'join', holder: ALICE });
  made.say({ type: 'join', holder: GATEWAY, lender: true });
  made.say({ type: 'create', dataspace: 7n, pageCount: 1, creator: ALICE });
  made.writes(GATEWAY);
  made.received(GATEWAY);
  made.say({ type: 'ack', holder: GATEWAY, run, version: 1, kind: 'RECEIVED' });
  const { owner, version } = made.directory.inspect(7n, 0);
  expect(owner).toBe(GATEWAY);
  made.say({ type: 'ack', holder: GATEWAY, run, version, kind: 'ABSENT' });
  expect(made.reads(ALICE)).toEqual(['refuse 2 LOST']);
});

test('a reader that asks again has lost what it borrowed: it gets it anew', () => {
  expect(talk(true).reads(ALICE)).toEqual(['recall 1 for 2']);
});

test('a gateway that has a page alone writes nothing: neighbours come along', () => {
  const made = talk(true);
  const ahead = { ...run, pageCount: 3 };
  made.say({ type: 'acquire', holder: GATEWAY, run, mode: 'WRITE', neededPages: 1, alone: true });
  made.say({ type: 'ack', holder: ALICE, run, version: 1, kind: 'INVALIDATED' });
  const asked: DirectoryEvent = {
    type: 'acquire',
    holder: BOB,
    run: ahead,
    mode: 'READ',
    neededPages: 0,
    alone: true,
  };
  expect(made.say(asked)).not.toContain('refuse 3 SKIPPED');
});

test('a lender inherits nothing', () => {
  const made = new Talk();
  made.say({ type: 'join', holder: ALICE });
  made.say({ type: 'join', holder: GATEWAY, lender: true });
  made.say({ type: 'join', holder: BOB });
  made.say({ type: 'create', dataspace: 7n, pageCount: 1, creator: ALICE });
  made.reads(GATEWAY);
  made.received(GATEWAY);
  expect(made.say({ type: 'leave', holder: ALICE })).toEqual([]);
  expect(made.reads(BOB)).toEqual(['refuse 3 LOST']);
});
