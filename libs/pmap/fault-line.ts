// The stream of faults to the node's pmap manager, from the thread that reads them. There are no answers: the pmap
// manager maps the page, and that wakes the guest.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type FaultSchema, FaultsRequestSchema, PmapService } from '@odonata/proto/pmap/v1/pmap';
import { OpenedStream } from '@odonata/rpc/opened-stream.ts';

export type FaultInit = MessageInitShape<typeof FaultSchema>;

export class FaultLine {
  private readonly stream: OpenedStream<typeof PmapService.method.faults>;
  private faults: FaultInit[] = [];
  private closed = false;

  /** @param onLost faults that were under way may be lost; called once, and not after `close` */
  constructor(address: string, faultToken: Uint8Array, onLost: (reason: string) => void) {
    this.stream = new OpenedStream(PmapService.method.faults, address, {
      where: { pmapd: address },
      hear() {},
    });
    const lost = (reason: string) => {
      if (this.closed) return;
      this.closed = true;
      onLost(reason);
    };
    this.stream.on('error', (error) => lost(error.message));
    this.stream.on('end', () => lost('it ended the stream of faults'));
    this.stream.write(create(FaultsRequestSchema, { faultToken }));
  }

  /** Takes a fault; `flush` sends it. */
  add(fault: FaultInit): void {
    this.faults.push(fault);
  }

  /** Sends the faults that were added, in one message. */
  flush(): void {
    if (this.faults.length === 0) return;
    const { faults } = this;
    this.faults = [];
    if (!this.closed) this.stream.write(create(FaultsRequestSchema, { faults }));
  }

  close(): void {
    this.closed = true;
    this.stream.cancel();
  }
}
