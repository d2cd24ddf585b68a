// Scenarios as conversations: testdata/*.txt. A line that starts with '>' is a command; the lines under it are what the
// real machines did. REWRITE=1 writes them anew, for a reader to review as a diff.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Holder } from '../holder/holder.ts';
import type { HolderAction, HolderEvent } from '../holder/holder-messages.ts';
import type { AccessMode } from '../page.ts';
import { transcripts } from '../testdata/transcript.ts';
import { Directory } from './directory.ts';
import type { DirectoryAction, DirectoryEvent } from './directory-messages.ts';

const DS = 1n;
const RUN = { dataspace: DS, firstPage: 0, pageCount: 1 };
const DIR = join(import.meta.dirname, 'testdata');

interface Message {
  /** As a command names it: `to 2`, `from 2`, `data 2`, `cast 2`. */
  channel: string;
  event: HolderEvent | DirectoryEvent;
}

class Conversation {
  private directory = new Directory({ home: false });
  private readonly holders: Holder[] = [];
  private messages: Message[] = [];
  private lines: string[] = [];
  private home = false;

  /** Does one command; @returns what happened, a line an action. */
  command(words: string[]): string[] {
    this.lines = [];
    const [verb = '', a = '', b = ''] = words;
    switch (verb) {
      case 'cluster':
        this.cluster(Number(a), Number(b), words[3] === 'home');
        break;
      case 'want':
        this.want(Number(a), b as AccessMode);
        break;
      case 'wrote':
        this.at(Number(a), { type: 'wrote', run: RUN });
        break;
      case 'anew':
        this.at(Number(a), { type: 'stored', run: RUN, version: 0, lostVersion: Number(b) });
        break;
      case 'deliver':
        this.deliver(`${a} ${b}`, true);
        break;
      case 'repeat':
        this.deliver(`${a} ${b}`, false);
        break;
      case 'lose':
        this.messages.splice(this.find(`${a} ${b}`), 1);
        break;
      case 'all':
        for (let next = this.messages[0]; next !== undefined; next = this.messages[0])
          this.deliver(next.channel, true);
        break;
      case 'break':
        this.messages = this.messages.filter((m) => m.channel !== `to ${a}` && m.channel !== `from ${a}`);
        break;
      case 'rejoin':
        this.at(Number(a), { type: 'rejoin', sameDirectory: b !== 'new' });
        break;
      case 'expire':
        this.at(Number(a), { type: 'expire' });
        break;
      case 'restart':
        this.messages = [];
        this.start(Number(a));
        break;
      case 'rebuilt':
        this.dir({ type: 'rebuilt' });
        break;
      case 'leave':
        this.dir({ type: 'leave', holder: Number(a) });
        break;
      case 'retire':
        this.retire(Number(a));
        break;
      case 'ack':
        this.dir({ type: 'ack', holder: Number(a), run: RUN, version: Number(words[3]), kind: b as 'SENT' });
        break;
      case 'tick':
        this.dir({ type: 'tick', nowMs: Number(a) });
        break;
      case 'state':
        this.state();
        break;
      default:
        assert.fail(`no command ${verb}`);
    }
    return this.lines;
  }

  private cluster(count: number, creator: number, home: boolean): void {
    this.home = home;
    for (let i = 0; i < count; i++) this.holders.push(new Holder());
    this.start(creator);
    for (const [i, holder] of this.holders.entries())
      holder.step({ type: 'open', dataspace: DS, pageCount: 1, whole: i + 1 === creator });
  }

  private start(creator: number): void {
    this.directory = new Directory({ home: this.home });
    for (const i of this.holders.keys()) this.dir({ type: 'join', holder: i + 1 });
    this.dir({ type: 'create', dataspace: DS, pageCount: 1, creator });
  }

  // At a home there is no holder's machine: the page tables of virtual kernels are edited directly.
  private want(holder: number, mode: AccessMode): void {
    if (this.home) this.dir({ type: 'acquire', holder, run: RUN, mode, neededPages: 1, alone: false });
    else this.at(holder, { type: 'want', run: RUN, mode, neededPages: 1 });
  }

  private find(channel: string): number {
    const index = this.messages.findIndex((m) => m.channel === channel);
    assert(index !== -1, `nothing is under way on ${channel}: ${this.messages.map((m) => m.channel)}`);
    return index;
  }

  private deliver(channel: string, consume: boolean): void {
    const index = this.find(channel);
    const { event } = this.messages[index]!;
    if (consume) this.messages.splice(index, 1);
    const [kind, holder] = channel.split(' ');
    if (kind === 'from') this.dir(event as DirectoryEvent);
    else this.at(Number(holder), event as HolderEvent);
  }

  private dir(event: DirectoryEvent): void {
    for (const action of this.directory.step(event)) this.fromDirectory(action);
  }

  private retire(holder: number): void {
    const { remaining, actions } = this.directory.retire(holder);
    const pages = remaining.reduce((sum, { pageCount }) => sum + pageCount, 0);
    this.lines.push(`directory: ${pages === 0 ? `${holder} has left` : `${pages} page remains`}`);
    for (const action of actions) this.fromDirectory(action);
  }

  private fromDirectory(action: DirectoryAction): void {
    if (action.type === 'invalidate') {
      const { except, source, version, resend, anew } = action;
      const again = resend ? ', again' : '';
      this.lines.push(`directory: invalidate below ${version}, awaits ${action.holders}${again}`);
      for (const i of this.holders.keys()) {
        const event: HolderEvent = { type: 'invalidate', run: RUN, version, anew };
        if (i + 1 !== except && i + 1 !== source) this.messages.push({ channel: `cast ${i + 1}`, event });
        if (resend && action.holders.includes(i + 1)) this.messages.push({ channel: `to ${i + 1}`, event });
      }
      return;
    }
    const { holder, run: _, ...rest } = action;
    this.lines.push(`directory to ${holder}: ${words(rest)}`);
    if (!this.home) this.messages.push({ channel: `to ${holder}`, event: action as HolderEvent });
  }

  private at(holder: number, event: HolderEvent): void {
    for (const action of this.holders[holder - 1]!.step(structuredClone(event))) this.perform(holder, action);
  }

  private perform(holder: number, action: HolderAction): void {
    this.lines.push(`${holder}: ${words(action)}`);
    const up = (event: DirectoryEvent) => this.messages.push({ channel: `from ${holder}`, event });
    switch (action.type) {
      case 'acquire':
        up({ ...action, holder, run: RUN, neededPages: 1, alone: true });
        return;
      case 'ack':
      case 'report':
        up({ ...action, holder });
        return;
      case 'send':
      case 'resend': {
        const { state, version } = action;
        const event: HolderEvent = { type: 'data', run: RUN, state, version, zero: false };
        this.messages.push({ channel: `data ${action.receiver}`, event });
      }
    }
  }

  private state(): void {
    const { owner, exclusive, sharers, version, lost, busy } = this.directory.inspect(DS, 0);
    const flags = [exclusive && 'exclusive', lost && 'LOST', busy && 'changing'].filter(Boolean).join(' ');
    this.lines.push(`directory: owner ${owner} sharers [${sharers}] version ${version} ${flags}`.trimEnd());
    if (this.home) return;
    const states = this.holders.map((h, i) => {
      const waits = h.pending(DS, 0) ? ' waits' : '';
      return `${i + 1} ${h.state(DS, 0)}@${h.version(DS, 0)}${waits}`;
    });
    this.lines.push(`holders: ${states.join(', ')}`);
  }
}

function words(action: object): string {
  const { type, run: _, held, ...rest } = action as { type: string; run?: unknown; held?: object[] };
  const about = Object.entries(rest).filter(([, value]) => value !== false);
  const runs = (held ?? []).map((h) => `[${words({ type: 'page', ...h })}]`);
  return [type, ...about.map(([key, value]) => `${key}=${value}`), ...runs].join(' ');
}

transcripts({ folder: DIR, atLeast: 12 }, () => {
  const conversation = new Conversation();
  return (words) => conversation.command(words);
});
