// What health answers: grpc.health.v1 of grpc-health-check, which is loaded when somebody asks.
import { createRequire } from 'node:module';
import { Health } from '@odonata/proto/grpc/health/v1/health';
import type { HealthImplementation } from 'grpc-health-check';
import { addOnDemand, methodsOf, type ServiceTaker } from './on-demand-service.ts';

type Package = typeof import('grpc-health-check');

export class ServingState {
  readonly #serving = new Map<string, boolean>([['', true]]);
  #asked: HealthImplementation | undefined;

  /** The name of a service, or '' for the server as a whole. */
  set(service: string, serving: boolean): void {
    this.#serving.set(service, serving);
    this.#asked?.setStatus(service, statusOf(serving));
  }

  setAll(serving: boolean): void {
    for (const service of this.#serving.keys()) this.set(service, serving);
  }

  addTo(server: ServiceTaker): void {
    addOnDemand(server, methodsOf(Health), (taker) => {
      const { HealthImplementation } = createRequire(import.meta.url)('grpc-health-check') as Package;
      this.#asked = new HealthImplementation();
      for (const [service, serving] of this.#serving) this.#asked.setStatus(service, statusOf(serving));
      this.#asked.addToServer(taker as never);
    });
  }
}

const statusOf = (serving: boolean) => (serving ? 'SERVING' : 'NOT_SERVING');
