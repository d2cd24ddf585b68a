// What a service tells Prometheus, read by us.
import { Failure } from '../../services/vkctl/failure.ts';

const READ_MS = 10_000;

export class Scrape {
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** @param address host:port of --metrics-listen */
  static async of(address: string): Promise<Scrape> {
    const response = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(READ_MS) });
    if (!response.ok) throw new Failure(`http://${address}/metrics answers ${response.status}`);
    return new Scrape(await response.text());
  }

  /** The sum over all series of a name whose labels contain `label`, as in `method="..."`. */
  sum(name: string, label = ''): number {
    let sum = 0;
    for (const line of this.text.split('\n')) {
      const [, series, labels = '', value] = /^(\w+)(\{.*\})? (\S+)$/.exec(line) ?? [];
      if (series === name && labels.includes(label)) sum += Number(value);
    }
    return sum;
  }
}
