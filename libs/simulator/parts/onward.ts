// To whom the pages of a node go on, by page: as their leader said, and as they were sent.
import type { DirectoryWord } from '@odonata/coherency/node/memory/memory-messages.ts';
import type { HolderId, HolderIdentity } from '@odonata/coherency/page.ts';
import type { Surroundings } from '../world/surroundings.ts';

export class Onward {
  private readonly receivers = new Map<number, { receiver: HolderId; identity: HolderIdentity }>();
  private readonly identities = new Map<number, HolderIdentity>();

  recalled(
    layout: Surroundings['layout'],
    { run, receiver, receiverIdentity: identity }: Extract<DirectoryWord, { type: 'recall' }>,
  ): void {
    const { dataspace, firstPage, pageCount } = layout.used(run);
    for (let i = 0; i < pageCount; i++)
      this.receivers.set(layout.pageOf(dataspace, firstPage + i), { receiver, identity });
  }

  sent(page: number, pageCount: number, receiver: HolderId): void {
    for (let i = 0; i < pageCount; i++) {
      const to = this.receivers.get(page + i);
      if (to?.receiver === receiver) this.identities.set(page + i, to.identity);
    }
  }

  sentTo(page: number): HolderIdentity | undefined {
    return this.identities.get(page);
  }
}
