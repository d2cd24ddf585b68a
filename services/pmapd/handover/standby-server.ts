// What a pmap manager that stands by answers: that it is well. Where it shares the network of the one that runs, that one
// listens on the address.
import type { Logger } from '@odonata/rpc/log.ts';
import { createRpcServer, isListening, type RpcServer } from '@odonata/rpc/server.ts';

export class StandbyServer {
  private readonly address: string;
  private readonly log: Logger;
  private server: RpcServer | undefined;
  private listening: Promise<void> | undefined;

  constructor(address: string, log: Logger) {
    this.address = address;
    this.log = log;
  }

  async start(): Promise<void> {
    this.log.info(
      'stands by: another pmap manager of this node runs, and hands over when it is told to stop',
    );
    this.listening = this.listen();
    await this.listening;
  }

  private async listen(): Promise<void> {
    if (await isListening(this.address)) return;
    this.server = createRpcServer({ name: 'pmapd that stands by', log: this.log });
    await this.server.listen(this.address);
  }

  /** Frees the address. */
  async stop(): Promise<void> {
    await this.listening;
    await this.server?.drain(0);
  }
}
