// Two clusters of different owners, as far as a request between them goes, each part a process of its own:
//
//   who asks -- router of the south -- its gateway ==== TLS ==== gateway of the north -- its router -- who answers
//
// Within a cluster they meet at a unix socket with tokens, as by `vkctl up`; gateways over TCP, with an authority each.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestAuthority } from '../../../libs/authority/testing.ts';
import { freePorts } from '../../sockets/free-ports.ts';
import type { Setting } from '../part.ts';
import { ROUTER, RunningService, told, untilListening, withRunning } from './running.ts';

const FAR_PEER = join(import.meta.dirname, 'far-peer.ts');
const NAME = 'alice:echo';
/** Nobody is held to a rate here: what is measured is what the way takes. */
const RATES = '{ messages: 1000000, bytes: 4G }';

type Needs = Pick<Setting, 'signal'>;

/** How many processes pass on what goes from one end to the other. */
export const BETWEEN_ENDS = 4;

/** One cluster: its authority, and its router and gateway once they run. */
class Owner {
  readonly authority: TestAuthority;
  readonly socket: string;
  readonly #needs: Needs;
  readonly #running: RunningService[] = [];

  constructor(cluster: string, needs: Needs) {
    this.authority = new TestAuthority(cluster);
    this.socket = join(this.authority.dir, 'router.sock');
    this.#needs = needs;
  }

  get authorityFile(): string {
    return join(this.authority.dir, 'ca', 'ca.crt');
  }

  async tlsDir(who: string): Promise<string> {
    return (await this.authority.folder(who)).dir;
  }

  async serve(port: number): Promise<void> {
    const where = ['--listen', `127.0.0.1:${port}`, '--socket', this.socket];
    await this.#run('syslinkd/syslinkd', ...where, '--settle-ms', 0, '--drain-ms', 0);
    await untilListening(`unix:${this.socket}`, this.#needs);
  }

  async serveGateway(policy: string): Promise<void> {
    const file = join(this.authority.dir, 'gateway.yaml');
    writeFileSync(file, policy);
    await this.#run('gateway/gateway', '--gateway', file, '--syslink', `unix:${this.socket}`);
  }

  async #run(who: string, ...args: (string | number)[]): Promise<void> {
    const identity = ['--tls-dir', await this.tlsDir(who), '--log-level', 'warn'];
    this.#running.push(new RunningService([ROUTER, ...args, ...identity], this.#needs));
  }

  async end(): Promise<void> {
    await Promise.all(this.#running.map((each) => each.end()));
    this.authority.remove();
  }
}

/** Round trips in ns of so many requests from one cluster to the other one. */
export async function throughGateways(needs: Needs, count: number): Promise<number[]> {
  const south = new Owner('south', needs);
  const north = new Owner('north', needs);
  try {
    const [southPort, northPort, door] = (await freePorts(3)) as [number, number, number];
    await Promise.all([south.serve(southPort), north.serve(northPort)]);
    const answers = [FAR_PEER, 'serve', `unix:${north.socket}`, await north.tlsDir('user/alice'), NAME];
    return await withRunning(answers, needs, async () => {
      await north.serveGateway(`
listen: 127.0.0.1:${door}
peers:
  - name: south
    authority: ${south.authorityFile}
    exports: [{ name: '${NAME}', methods: [/shout.Shout/Say] }]
    users: { bob: alice }
    rates: ${RATES}
`);
      await untilListening(`127.0.0.1:${door}`, needs);
      await south.serveGateway(`
peers:
  - name: north
    authority: ${north.authorityFile}
    address: 127.0.0.1:${door}
    imports: ['${NAME}']
    rates: ${RATES}
`);
      const asks = [FAR_PEER, 'ask', `unix:${south.socket}`, await south.tlsDir('user/bob')];
      return await told<number[]>([...asks, `${NAME}@north`, count], needs);
    });
  } finally {
    await Promise.all([south.end(), north.end()]);
  }
}
