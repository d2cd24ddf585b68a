// A cluster that lets another one map a dataspace, by hand: it says of its pages whatever the test likes.
import { randomBytes } from 'node:crypto';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import type { WordInit } from '../../services/syslinkd/gateway/memory/word.ts';
import { until } from '../cluster/cluster.ts';
import type { TwoClusters } from './two-clusters.ts';

const LOOK_MS = 20;
/** It is there, as often as that. */
const PING_LOOKS = 50;
const LEASE_MS = 600_000;
export const FAKE = { name: 'fake', id: 5n, sizeBytes: 8_192n, writable: true };

type Line = Awaited<ReturnType<TwoClusters['rawLine']>>;

export class HostileHome {
  readonly line: Line;
  /** Pages that were asked for, in order. */
  readonly wanted: number[] = [];
  #heard = 0;
  #looks = 0;
  readonly #timer: NodeJS.Timeout;

  private constructor(line: Line) {
    this.line = line;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** As the south, whose own gateway must be down. */
  static async open(both: TwoClusters): Promise<HostileHome> {
    const line = await both.rawLine();
    const who = { cluster: both.south.name, gateway: 'gateway', epoch: BigInt(Date.now()), session: 1n };
    line.send(frame({ case: 'gatewayHello', value: { ...who, nonce: randomBytes(16), wire: wireSpoken() } }));
    await until('it is greeted', () => line.heard.length > 0);
    const [first] = line.heard;
    if (first?.case !== 'gatewayHello') throw new Error(`${first?.case}`);
    line.send(frame({ case: 'gatewayConfirm', value: { echo: first.value.nonce } }));
    const home = new HostileHome(line);
    home.say({ case: 'offer', value: { life: 1n, dataspaces: [FAKE] } });
    return home;
  }

  say(word: WordInit): void {
    this.line.send(frame({ case: 'gatewayMemory', value: { word } }));
  }

  lend(page: number, fill: number): void {
    const pages = { dataspace: FAKE.id, firstPage: page, pageCount: 1 };
    const data = new Uint8Array(4_096).fill(fill);
    this.say({ case: 'lent', value: { pages, data, lending: 1n, writing: false } });
  }

  end(): void {
    clearInterval(this.#timer);
    this.line.end();
  }

  // It gives leases, longer than it has any.
  #look(): void {
    this.#looks++;
    if (this.#looks % PING_LOOKS === 0) this.line.send(frame({ case: 'gatewayPing', value: {} }));
    for (const each of this.line.heard.slice(this.#heard)) {
      this.#heard++;
      if (each.case !== 'gatewayMemory') continue;
      const { word } = each.value;
      if (word.case === 'renew')
        this.say({ case: 'renewed', value: { sentMs: word.value.sentMs, leaseMs: LEASE_MS } });
      else if (word.case === 'wanted') {
        const { firstPage = 0, pageCount = 0 } = word.value.pages ?? {};
        for (let i = 0; i < pageCount; i++) this.wanted.push(firstPage + i);
      }
    }
  }
}
