// The gateway that a supervisor runs, as gateway.json says: started, started again, and ended when nobody wants it any more.
import { NO_FILE } from '@odonata/rpc/file-stamp.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { ClusterPlan, ServiceRecord } from '../cluster/record.ts';
import { SupervisedService, type Surroundings } from '../supervisor/supervised-service.ts';
import { gatewayStamp, readGateway } from './gateway-file.ts';
import { gatewaySpec } from './gateway-spec.ts';

const GRACE_MS = 3_000;

export interface SupervisedGatewayOptions {
  readonly plan: ClusterPlan;
  readonly around: Surroundings;
  readonly log: Logger;
}

export class SupervisedGateway {
  readonly #o: SupervisedGatewayOptions;
  #service: SupervisedService | undefined;
  #stamp: string = NO_FILE;
  /** One ends before the next one begins. */
  #turn: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: SupervisedGatewayOptions) {
    this.#o = options;
  }

  get records(): readonly ServiceRecord[] {
    return this.#service === undefined ? [] : [this.#service.record];
  }

  /** Each second. */
  look(): void {
    const { plan, log } = this.#o;
    const stamp = gatewayStamp(plan);
    if (this.#stopped || stamp === this.#stamp) return;
    this.#stamp = stamp;
    this.#turn = this.#turn
      .then(() => this.#carryOut())
      .catch((error: unknown) =>
        log.error({ err: error }, 'cannot look after the gateway: it stays as it is'),
      );
  }

  async #carryOut(): Promise<void> {
    const { plan, around } = this.#o;
    const wanted = readGateway(plan);
    await this.#end();
    if (wanted === undefined || this.#stopped) return;
    this.#service = new SupervisedService(gatewaySpec(plan, wanted), around);
    this.#service.record.asked = wanted.asked;
    this.#service.start();
  }

  async #end(): Promise<void> {
    await this.#service?.stop(GRACE_MS, 'SIGTERM');
    this.#service = undefined;
    this.#o.around.changed();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#turn;
    await this.#service?.stop(GRACE_MS, 'SIGTERM');
  }
}
