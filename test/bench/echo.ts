// The yardstick of faults: the echo of a page, over TCP and over a unix socket, measured again during the run.
import type { Setting } from './part.ts';
import { rawEcho, type Transport } from './raw-line.ts';
import { type Latency, latencyOf, median } from './samples.ts';

const COUNT = 3000;
const QUICK_COUNT = 500;
const TRANSPORTS: Transport[] = ['tcp', 'unix'];

export type Echo = Record<Transport, { p50Us: number; p99Us: number }>;

export interface EchoResult {
  /** Medians of the measurements. */
  echo: Echo;
  measurements: ({ when: string } & Record<Transport, Latency>)[];
}

export class EchoYardstick {
  readonly #setting: Setting;
  readonly #replyBytes: number;
  readonly #measurements: EchoResult['measurements'] = [];

  constructor(setting: Setting, replyBytes: number) {
    this.#setting = setting;
    this.#replyBytes = replyBytes;
  }

  async measure(when: string): Promise<void> {
    const latency: Partial<Record<Transport, Latency>> = {};
    for (const transport of TRANSPORTS) {
      this.#setting.progress(`raw echo over ${transport}, ${when} the faults`);
      const count = this.#setting.quick ? QUICK_COUNT : COUNT;
      latency[transport] = latencyOf(await rawEcho(this.#setting, transport, count, this.#replyBytes));
    }
    this.#measurements.push({ when, ...(latency as Record<Transport, Latency>) });
  }

  result(): EchoResult {
    const of = (transport: Transport) => ({
      p50Us: median(this.#measurements.map((each) => each[transport].p50Us)),
      p99Us: median(this.#measurements.map((each) => each[transport].p99Us)),
    });
    return { echo: { tcp: of('tcp'), unix: of('unix') }, measurements: this.#measurements };
  }
}
