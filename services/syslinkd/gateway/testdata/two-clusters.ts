// Two clusters of two owners in one process: a router and a gateway each, with authorities that know nothing of each other.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TestAuthority } from '@odonata/authority/testing.ts';
import { EventService } from '@odonata/proto/event/v1/event';
import { GatewayStateService, type PeerState } from '@odonata/proto/gateway/v1/gateway';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import type { EventKind } from '@odonata/rpc/events.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { type Syslinkd, serveSyslinkd } from '../../serve.ts';
import { cleanup } from '../../testdata/routers.ts';
import { type Gateway, serveGateway } from '../serve.ts';

export interface Side {
  readonly authority: TestAuthority;
  readonly router: Syslinkd;
  readonly policyFile: string;
  gateway: Gateway & { readonly pid?: number };
  attach(who: string, name?: string): Promise<SyslinkEndpoint>;
  /** Writes another policy, and has it read. */
  policy(text: string): void;
  peers(): Promise<PeerState[]>;
  /** What they say. */
  events(...kinds: EventKind[]): Promise<string[]>;
}

/** That nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const MAIN = fileURLToPath(new URL('../../main.ts', import.meta.url));

/** As a process of its own. */
async function gatewayApart(of: {
  gateway: string;
  syslink: string;
  folder: TlsFolder;
}): Promise<Gateway & { readonly pid: number }> {
  const args = [
    '--gateway',
    of.gateway,
    '--syslink',
    of.syslink,
    '--tls-dir',
    of.folder.dir,
    '--log-level',
    'warn',
  ];
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(child, 'exit');
  return {
    address: undefined,
    pid: child.pid!,
    reload: () => void child.kill('SIGHUP'),
    async stop() {
      child.kill('SIGINT');
      await ended;
    },
  };
}

/** Of a process, user and system. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Of a process, in bytes. */
export const residentOf = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;

/**
 * @param policyOf by the file of its own authority
 * @param apart its gateway is a process of its own
 */
export async function side(
  cluster: string,
  policyOf: (authorityFile: string) => string,
  authority = new TestAuthority(cluster),
  apart = false,
): Promise<Side> {
  cleanup.push(() => authority.remove());
  const folder = await authority.folder('syslinkd/syslinkd');
  const router = await serveSyslinkd({ listen: '127.0.0.1:0', log: silentLog(), folder });
  cleanup.push(() => router.stop({ atOnce: true }));
  const policyFile = join(authority.dir, 'gateway.yaml');
  writeFileSync(policyFile, policyOf(join(authority.dir, 'ca', 'ca.crt')));
  const gatewayFolder = await authority.folder('gateway/gateway');
  const about = { gateway: policyFile, syslink: router.address, folder: gatewayFolder };
  const gateway = apart ? await gatewayApart(about) : await serveGateway({ ...about, log: silentLog() });
  cleanup.push(() => made.gateway.stop());
  const made: Side = {
    ...{ authority, router, policyFile, gateway },
    async attach(who, name = '') {
      const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.VKERNEL;
      const endpoint = attachSyslink({
        ...{ address: router.address, name, kind, node: name.split('/')[0]!, log: silentLog() },
        folder: await authority.folder(who),
      });
      cleanup.push(() => endpoint.close());
      await endpoint.ready({ deadlineMs: 5_000 });
      return endpoint;
    },
    policy(text) {
      writeFileSync(policyFile, text);
      made.gateway.reload();
    },
    async peers() {
      const admin = await made.attach('admin/root');
      try {
        return (await admin.client(GatewayStateService, { name: 'gateway' }).listPeers({})).peers;
      } finally {
        admin.close();
      }
    },
    async events(...kinds) {
      const admin = await made.attach('admin/root');
      try {
        const { events } = await admin.client(EventService, { name: 'gateway' }).listEvents({ kinds });
        return events.map(({ text }) => text);
      } finally {
        admin.close();
      }
    },
  };
  return made;
}
