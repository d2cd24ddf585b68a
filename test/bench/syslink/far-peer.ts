// Processes at the ends of two clusters of different owners: persons, who are at a router of their own cluster by its socket.
//
//   node far-peer.ts serve ADDRESS TLS_DIR NAME       answers at a router by a name, with what it is sent; ends with its standard input
//   node far-peer.ts ask ADDRESS TLS_DIR NAME COUNT   prints the round trips of requests, one after another, as a JSON array of ns
import '@odonata/rpc/external-memory.ts';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { delay } from '@odonata/rpc/backoff.ts';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import {
  type Bytes,
  ShoutService,
  shout,
} from '../../../services/syslinkd/gateway/testdata/shout-service.ts';
import { trips, untilInputEnds } from './trips.ts';

const READY_MS = 10_000;
/** Until the gateways know each other, and their routers the name. */
const NAMED_MS = 30_000;
const LOOK_MS = 50;
/** As the raw echo's. */
const ASKED: Bytes = { value: new Uint8Array(64) };

async function attached(address: string, tlsDir: string): Promise<SyslinkEndpoint> {
  const who = { name: '', kind: EndpointKind.CLIENT, folder: new TlsFolder(tlsDir) };
  const endpoint = attachSyslink({ address, ...who, log: silentLog() });
  await endpoint.ready({ deadlineMs: READY_MS });
  return endpoint;
}

async function serve(address: string, tlsDir: string, name: string): Promise<void> {
  const endpoint = await attached(address, tlsDir);
  endpoint.serve(ShoutService as never, { say: (said: Bytes) => said } as never);
  endpoint.register(name);
  await untilNamed(endpoint, name);
  await untilInputEnds('ready');
}

async function untilNamed(endpoint: SyslinkEndpoint, name: string): Promise<void> {
  const endMs = performance.now() + NAMED_MS;
  while ((await endpoint.listNames(name)).length === 0) {
    if (performance.now() > endMs) throw new Error(`nobody has the name ${name}`);
    await delay(LOOK_MS);
  }
}

async function ask(address: string, tlsDir: string, name: string, count: number): Promise<void> {
  const endpoint = await attached(address, tlsDir);
  await untilNamed(endpoint, name);
  const far = shout(endpoint, name);
  console.log(JSON.stringify(await trips(count, () => far.say(ASKED))));
}

const [role, address = '', tlsDir = '', name = '', count = ''] = process.argv.slice(2);
if (role === 'serve') await serve(address, tlsDir, name);
else if (role === 'ask') await ask(address, tlsDir, name, Number(count));
else throw new Error(`no role ${role}`);
process.exit(0);
