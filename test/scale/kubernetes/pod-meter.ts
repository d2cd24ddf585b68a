// Replicas that are pods, read from what they tell Prometheus.
import { Scrape } from '../prometheus.ts';
import type { Meter, ServiceName, Usage } from '../scaled-service.ts';

export class PodMeter implements Meter {
  private readonly service: ServiceName;
  private readonly addresses: readonly string[];
  private readonly work: (scrape: Scrape) => number;

  /** @param addresses of the metrics of each pod. @param work operations that a pod counted */
  constructor(service: ServiceName, addresses: readonly string[], work: (scrape: Scrape) => number) {
    this.service = service;
    this.addresses = addresses;
    this.work = work;
  }

  async during(work: () => Promise<void>): Promise<Usage> {
    const before = await this.scrape();
    await work();
    const after = await this.scrape();
    const cpu = `odonata_${this.service}_process_cpu_seconds_total`;
    const replicas = after.map((scrape, i) => ({
      cpuUs: (scrape.sum(cpu) - before[i]!.sum(cpu)) * 1e6,
      work: this.work(scrape) - this.work(before[i]!),
      sleeps: undefined,
    }));
    return { replicas, besideUs: 0 };
  }

  async residentBytes(): Promise<number[]> {
    const scrapes = await this.scrape();
    return scrapes.map((scrape) => scrape.sum(`odonata_${this.service}_process_resident_bytes`));
  }

  private scrape(): Promise<Scrape[]> {
    return Promise.all(this.addresses.map((address) => Scrape.of(address)));
  }
}
