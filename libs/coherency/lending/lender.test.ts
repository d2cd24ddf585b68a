// What a lender does with more than one other cluster, and with what comes too late.
import { expect, test } from 'vitest';
import { Lender, PATIENCE_MS } from './lender.ts';
import { borrowerOf, type LenderAction, type LenderEvent } from './lender-messages.ts';

const run = { dataspace: 7n, firstPage: 0, pageCount: 1 };
const [WEST, EAST] = [borrowerOf('west', '1'), borrowerOf('east', '1')];
const LEASE_MS = 10_000;

class Talk {
  readonly lender = new Lender<string>(LEASE_MS);
  nowMs = 0;

  constructor(writers = new Set(['west', 'east'])) {
    this.say({ type: 'export', dataspace: 7n, pageCount: 1, to: new Set(['west', 'east']), writers });
    this.renew();
  }

  renew(): void {
    for (const peer of [WEST, EAST]) this.say({ type: 'renew', peer, sentMs: 0, homeLeaseMs: LEASE_MS });
  }

  say(event: LenderEvent<string>): string[] {
    return this.lender.step(event, this.nowMs).map(shown);
  }

  wants(peer: typeof WEST, mode: 'READ' | 'WRITE'): string[] {
    return this.say({ type: 'wanted', peer, run, mode });
  }

  returns(peer: typeof WEST, as: 'READ' | 'WRITTEN' | 'UNWRITTEN' | 'LOST'): string[] {
    return this.say({ type: 'returned', peer, run, lending: 1_000, as });
  }
}

function shown(action: LenderAction<string>): string {
  const who = 'peer' in action ? ` ${action.peer.slice(0, 4)}` : '';
  const how = 'mode' in action ? ` ${action.mode}` : action.type === 'settle' && action.gone ? ' gone' : '';
  return `${action.type}${who}${how}`;
}

test('one writes when all others have given it back; they have their turn after that', () => {
  const talk = new Talk();
  expect(talk.wants(WEST, 'READ')).toEqual(['want READ']);
  expect(talk.say({ type: 'ready', run, mode: 'READ' })).toEqual(['lend west READ']);
  expect(talk.wants(EAST, 'READ')).toEqual(['lend east READ']);
  expect(talk.wants(EAST, 'WRITE')).toEqual(['revoke west']);
  expect(talk.wants(WEST, 'READ')).toEqual([]);
  expect(talk.returns(WEST, 'READ')).toEqual(['want WRITE']);
  expect(talk.say({ type: 'ready', run, mode: 'WRITE' })).toEqual(['lend east WRITE', 'revoke east']);
  expect(talk.returns(EAST, 'WRITTEN')).toEqual(['settle east', 'take', 'lend west READ']);
});

test('somebody at home reads it: who reads it over there may keep it, who writes it not', () => {
  const talk = new Talk();
  talk.wants(WEST, 'WRITE');
  talk.say({ type: 'ready', run, mode: 'WRITE' });
  expect(talk.say({ type: 'taken', run, mode: 'READ', word: 'w' })).toEqual(['revoke west']);
  expect(talk.returns(WEST, 'UNWRITTEN')).toEqual(['settle west', 'release']);
  expect(talk.wants(WEST, 'READ')).toEqual(['lend west READ']);
  expect(talk.say({ type: 'taken', run, mode: 'READ', word: 'w' })).toEqual(['release']);
  expect(talk.say({ type: 'taken', run, mode: 'WRITE', word: 'w' })).toEqual(['revoke west']);
});

test('a writer whose lease ended is waited for, until somebody wants the page: then it is lost, and told so', () => {
  const talk = new Talk();
  talk.wants(WEST, 'WRITE');
  talk.say({ type: 'ready', run, mode: 'WRITE' });
  talk.nowMs = LEASE_MS + 1;
  expect(talk.lender.tick(talk.nowMs)).toEqual([]);
  talk.renew();
  // It comes back in time.
  expect(talk.returns(WEST, 'WRITTEN')).toEqual(['settle west', 'take']);
  talk.wants(WEST, 'WRITE');
  talk.nowMs += LEASE_MS + 1;
  expect(talk.say({ type: 'taken', run, mode: 'READ', word: 'w' })).toEqual(['lose west', 'release']);
  // Too late, and nothing is taken from it.
  expect(talk.returns(WEST, 'WRITTEN')).toEqual(['settle west gone']);
  expect(talk.returns(WEST, 'WRITTEN')).toEqual(['settle west']);
});

test('one that does not bring it back has its lease renewed no more', () => {
  const talk = new Talk();
  talk.wants(WEST, 'WRITE');
  talk.say({ type: 'ready', run, mode: 'WRITE' });
  talk.say({ type: 'taken', run, mode: 'WRITE', word: 'w' });
  talk.nowMs += PATIENCE_MS + 1;
  const renew = { type: 'renew', sentMs: 0, homeLeaseMs: LEASE_MS } as const;
  expect(talk.say({ ...renew, peer: WEST })).toEqual([]);
  expect(talk.say({ ...renew, peer: EAST })).toEqual(['renewed east']);
});

test('who may read it does not write it, and who may not any more gives it back', () => {
  const talk = new Talk(new Set(['east']));
  expect(talk.wants(WEST, 'WRITE')).toEqual(['refuse west']);
  talk.wants(EAST, 'WRITE');
  talk.say({ type: 'ready', run, mode: 'WRITE' });
  const to = new Set(['west', 'east']);
  expect(talk.say({ type: 'export', dataspace: 7n, pageCount: 1, to, writers: new Set() })).toEqual([
    'revoke east',
  ]);
});

test('what was lent to write on a line that broke is lent again', () => {
  const talk = new Talk();
  talk.wants(WEST, 'WRITE');
  talk.say({ type: 'ready', run, mode: 'WRITE' });
  expect(talk.wants(WEST, 'WRITE')).toEqual([]);
  talk.say({ type: 'joined', peer: WEST });
  expect(talk.wants(WEST, 'WRITE')).toEqual(['lend west WRITE']);
});
