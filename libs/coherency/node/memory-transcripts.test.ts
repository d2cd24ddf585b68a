// The memory of a node as conversations: testdata/*.txt. A line that starts with '>' is an event; under it stands what was
// done to page tables and frames, and then what came out. REWRITE=1 writes them anew, for a reader to review as a diff.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { AccessMode, PageState } from '../page.ts';
import { transcripts } from '../testdata/transcript.ts';
import { type Action, type Event, FakeNode, Values } from './testdata/fake-node.ts';

const DIR = join(import.meta.dirname, 'testdata');

class Conversation {
  private node = new FakeNode(8);
  private operation = 0;

  command(words: string[]): string[] {
    const [verb = '', a = '', b = '', c = '', d = ''] = words;
    const run = { dataspace: 1n, firstPage: Number(a), pageCount: 1 };
    const [page, dataspace] = [Number(a), 1n];
    switch (verb) {
      case 'node':
        this.node = new FakeNode(8, { durable: words.includes('durable') });
        return this.told(this.node.open(words.includes('whole')));
      case 'map': {
        const { holder } = this.node.maps(a !== 'read-only');
        return [`virtual kernel ${holder}`];
      }
      case 'unmap':
        this.node.mappings.splice(this.mapping(a), 1);
        return [];
      case 'fault': {
        const entry = this.node.mappings[this.mapping(a)]!;
        return this.step({ type: 'fault', entry, page: Number(b), write: c === 'WRITE', atNs: 0n });
      }
      case 'grant': {
        const flags = { zero: d === 'zero', restore: d === 'restore', stored: d === 'stored' };
        return this.step({ type: 'grant', run, state: b as PageState, version: Number(c), ...flags });
      }
      case 'data': {
        const data = { type: 'data', run, state: b as PageState, version: Number(c), zero: false } as const;
        return this.step({ type: 'arrive', data, bytes: new Values([Number(d)]) });
      }
      case 'recall': {
        const to = { receiver: 9, receiverIdentity: 9n, receiverState: 'MODIFIED' } as const;
        return this.step({ type: 'recall', run, mode: b as AccessMode, version: Number(c), ...to });
      }
      case 'invalidate':
        return this.step({ type: 'invalidate', run, version: Number(b), anew: c === 'anew' });
      case 'refuse':
        return this.step({ type: 'refuse', run, mode: 'READ', reason: b as 'LOST', version: Number(c) });
      case 'settled':
        return this.step({ type: 'settled', run, version: Number(b) });
      case 'use': {
        const anew = c === 'anew' ? { firstPage: page, pageCount: 1 } : undefined;
        return this.step({ type: 'use', operation: ++this.operation, run, mode: b as AccessMode, anew });
      }
      case 'again':
        return this.step({ type: 'use', operation: this.operation, run, mode: b as AccessMode });
      case 'end':
        return this.step({ type: 'end', operation: this.operation, dataspace });
      case 'found': {
        const about = { dataspace, page, version: Number(b), lostVersion: Number(c) };
        return this.step({ type: 'found', ...about, bytes: new Values([Number(d)]) });
      }
      case 'not-found':
        return this.step({ type: 'not-found', dataspace, page, lostVersion: Number(b), reason: 'no' });
      case 'suspend':
        this.node.leased = false;
        return this.step({ type: 'suspend', shard: 0 });
      case 'resume':
        this.node.leased = true;
        return this.step({ type: 'resume', shard: 0 });
      case 'expire':
        return this.step({ type: 'expire', shard: 0 });
      case 'rejoin':
        return this.step({ type: 'rejoin', shard: 0, sameDirectory: a !== 'new' });
      case 'frames':
        this.node.framesMax = Number(a);
        return [];
      case 'freeze':
        this.node.memory.freeze();
        return this.told([]);
      case 'thaw':
        return this.told(this.node.memory.thaw());
      case 'remove':
        return this.step({ type: 'remove', dataspace });
      case 'state':
        return [this.state(page)];
      default:
        assert.fail(`no command ${verb}`);
    }
  }

  private mapping(holder: string): number {
    return this.node.mappings.findIndex((mapping) => mapping.holder === Number(holder));
  }

  private step(event: Event): string[] {
    return this.told(this.node.step(event));
  }

  private told(actions: Action[]): string[] {
    return [...this.node.done.splice(0), ...actions.map((action) => `-> ${inWords(action)}`)];
  }

  private state(page: number): string {
    const { memory, frames, reservedFrames, mappings, dataspace } = this.node;
    const state = `${memory.state(1n, page)}@${memory.version(1n, page)}`;
    const tables = mappings.map(({ holder, table }) => `${holder}:${table.get(page) ?? '-'}`);
    const frame = frames.has(page) ? `frame ${frames.get(page)}` : 'no frame';
    const waits = `${dataspace.waiting.count} wait, ${reservedFrames} frames kept`;
    return `page ${page}: ${state}, ${frame}, tables ${tables.join(' ')}; ${waits}`;
  }
}

function inWords(action: object): string {
  const { type, ...rest } = action as { type: string };
  const about = Object.entries(rest).filter(([, value]) => value !== false && value !== undefined);
  return [type, ...about.map(([key, value]) => `${key}=${valueInWords(key, value)}`)].join(' ');
}

function valueInWords(key: string, value: unknown): string {
  if (key === 'run') {
    const { firstPage, pageCount } = value as { firstPage: number; pageCount: number };
    return pageCount === 1 ? `${firstPage}` : `${firstPage}+${pageCount}`;
  }
  if (key === 'bytes') return `[${(value as Values).values}]`;
  if (key === 'entry') return `${(value as { holder: number }).holder}`;
  if (key === 'fault') {
    const { entry, page } = value as { entry: { holder: number }; page: number };
    return `${entry.holder}/${page}`;
  }
  if (Array.isArray(value))
    return `[${value.map((each) => valueInWords(typeof each === 'object' ? 'run' : '', each?.run ?? each))}]`;
  return String(value);
}

transcripts({ folder: DIR, isOf: (name) => !/^(lines|relay)-/.test(name), atLeast: 10 }, () => {
  const conversation = new Conversation();
  return (words) => conversation.command(words);
});
