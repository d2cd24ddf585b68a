// Messages of pages that were spoilt on their way here: all are counted, the first ones of a minute are told.
import type { EventLog } from '@odonata/rpc/events.ts';
import { FirstOfMinute } from '@odonata/rpc/first-of-minute.ts';

export class SpoiltMessages {
  private readonly events: Pick<EventLog, 'add'>;
  private readonly first = new FirstOfMinute();
  private times = 0;

  constructor(events: Pick<EventLog, 'add'>) {
    this.events = events;
  }

  get count(): number {
    return this.times;
  }

  met(peer: string): void {
    this.times++;
    // A peer's port is another one each time.
    const host = peer.replace(/:\d+$/, '');
    if (this.first.count('spoilt', host))
      this.events.add(
        'pages-spoilt',
        `a message of pages from ${host} was spoilt on its way, and is sent again`,
      );
  }
}
