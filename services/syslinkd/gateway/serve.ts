// A gateway to clusters of other owners: an endpoint among our own routers, and one line of mutual TLS to each of those clusters.

import { create } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { Role } from '@odonata/proto/auth/v1/access';
import { EventService } from '@odonata/proto/event/v1/event';
import {
  GatewayService,
  GatewayStateService,
  type PeerState,
  PeerStateSchema,
} from '@odonata/proto/gateway/v1/gateway';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { ListenError } from '@odonata/rpc/address.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { EventLog } from '@odonata/rpc/events.ts';
import { identityOf } from '@odonata/rpc/identity/certificate.ts';
import { nameOfRole } from '@odonata/rpc/identity/identity.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { SettingError } from '@odonata/rpc/lifecycle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { createRpcServer, failStream, type RpcServer, raw } from '@odonata/rpc/server.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { Dialler } from './dialler.ts';
import { ImportedNames } from './imported-names.ts';
import { CrossingMemory } from './memory/memory.ts';
import { gatewayMetrics } from './metrics.ts';
import { PeerGate, PinnedAuthorities } from './peer-certificate.ts';
import { PolicyFile } from './policy-file.ts';
import { Relay } from './relay.ts';
import type { Session } from './session.ts';
import { Sessions } from './sessions.ts';

const CONNECTIONS_MAX = 256;
const LOOK_MS = 1_000;

export interface Gateway {
  /** Where gateways of other clusters connect; undefined: it only dials. */
  readonly address: string | undefined;
  /** Reads the policy again. */
  reload(): void;
  stop(): Promise<void>;
}

export interface GatewayOptions {
  /** Its policy. */
  readonly gateway: string;
  /** Our own routers, host:port with commas between. */
  readonly syslink: string;
  /** Replicas of our own directory; none: dataspaces do not cross. */
  readonly directory?: readonly string[];
  /** Where our nodes bring pages. */
  readonly pagesListen?: string;
  readonly metricsListen?: string;
  readonly eventsFile?: string;
  readonly log: Logger;
  /** Who it is. */
  readonly folder: TlsFolder | undefined;
}

/** Of one policy beside the one before. */
const CHANGES_TOLD = 12;

/** @throws SettingError in a line, where its policy or identity is of no use */
export async function serveGateway(options: GatewayOptions): Promise<Gateway> {
  const { log, metricsListen = '' } = options;
  const folder = expectGateway(options.folder);
  const { cluster, name: gateway } = folder.identity.caller;
  const file = policyFile(options.gateway, cluster, log);
  const policy = () => file.policy;
  const events = new EventLog({ service: 'gateway', log, file: options.eventsFile });
  const memory = new CrossingMemory({
    ...{ gateway: gateway === '*' ? 'gateway' : gateway, policy, events, folder, log },
    ...{ directory: options.directory ?? [], pagesListen: options.pagesListen ?? '127.0.0.1:0' },
    session: (peer) => sessions.of(peer),
    meter: (peer) => sessions.meter(peer),
  });
  const sessions: Sessions = new Sessions({
    memory,
    ...{ us: { cluster, gateway }, policy, log, events },
    changed: () => names.look(policy(), (peer) => sessions.of(peer) !== undefined),
    offered: (peer, offered) => {
      names.offered(peer, offered);
      names.look(policy(), (each) => sessions.of(each) !== undefined);
    },
  });
  const relay = new Relay({
    ...{ cluster, policy, log, session: (peer) => sessions.of(peer), meter: (peer) => sessions.meter(peer) },
    line: () => syslink.line(),
  });
  sessions.relay = relay;
  const security = new SecurityEvents(events);
  const metrics = new Metrics('gateway');
  events.countIn(metrics);
  security.countIn(metrics);
  gatewayMetrics(metrics, policy, sessions);
  const syslink: SyslinkEndpoint = attachSyslink({
    ...{ address: options.syslink, name: gateway === '*' ? 'gateway' : gateway, kind: EndpointKind.GATEWAY },
    ...{ log, folder, relay, security, meter: metrics.callMeter() },
  })
    .serve(GatewayStateService, {
      listPeers: () => ({
        peers: [...policy().peers.keys()].map((peer) => stateOf(peer, { file, sessions, names, memory })),
        policyTrouble: file.trouble.slice(0, 4_096),
      }),
    })
    .serve(EventService, events.handlers());
  const names = new ImportedNames(syslink, log);
  const dialler = new Dialler({ policy, folder, sessions, log });
  const pinned = () => Buffer.concat([...policy().peers.values()].map(({ authorityPem }) => authorityPem));
  const authorities = new PinnedAuthorities(pinned, folder);
  const changed = (): void => {
    authorities.tell();
    sessions.look();
    relay.crossings.look(policy());
    sessions.offer();
    names.look(policy(), (peer) => sessions.of(peer) !== undefined);
    memory.policyChanged();
    dialler.look();
  };
  const { listen } = policy();
  const server =
    listen === undefined ? undefined : doorOf({ policy: file, sessions, authorities, folder, log, security });
  const address = await server?.listen(listen!).catch((error: unknown) => {
    syslink.close();
    // The command line has another --listen, which a gateway does not use.
    throw error instanceof ListenError
      ? new SettingError(`${options.gateway}: listen: ${error.why}; write another address`)
      : error;
  });
  await memory.start();
  file.watch((what) => {
    const said = what.slice(0, CHANGES_TOLD);
    if (what.length > said.length) said.push(`and ${what.length - said.length} more`);
    if (said.length > 0) events.add('gateway-policy', `another policy is in force: ${said.join('; ')}`);
    changed();
  });
  dialler.look();
  const looking = setInterval(
    ownTurn({ timer: 'certificates of peers' }, () => sessions.look()),
    LOOK_MS,
  );
  const metricsServer = await serveMetrics({
    ...{ listen: metricsListen, metrics, log },
    notReady: () => (syslink.connected ? undefined : (syslink.refusal ?? 'not attached to a router')),
  });
  return {
    address,
    reload: () => file.look(true),
    async stop() {
      clearInterval(looking);
      file.stop();
      await memory.stop();
      sessions.endAll(new RpcError(Code.Unavailable, 'the gateway stops'));
      await dialler.stop();
      await server?.drain(500);
      syslink.close();
      await metricsServer.close();
    },
  };
}

function expectGateway(folder: TlsFolder | undefined): TlsFolder {
  if (folder === undefined)
    throw new SettingError('--tls-dir is missing: a gateway needs a certificate of its own cluster');
  const { role, name } = folder.identity.caller;
  if (role !== Role.GATEWAY)
    throw new SettingError(
      `--tls-dir: the certificate is of ${nameOfRole(role)} ${name}; a gateway needs one of the role gateway`,
    );
  return folder;
}

function policyFile(path: string, cluster: string, log: Logger): PolicyFile {
  try {
    return new PolicyFile(path, cluster, log);
  } catch (error) {
    throw new SettingError((error as Error).message);
  }
}

/** Where gateways of other clusters come in. */
function doorOf(of: {
  policy: PolicyFile;
  sessions: Sessions;
  authorities: PinnedAuthorities;
  folder: TlsFolder;
  log: Logger;
  security: SecurityEvents;
}): RpcServer {
  const { policy, sessions, authorities, folder, log, security } = of;
  const gate = new PeerGate(() => policy.policy);
  const credentials = grpc.experimental.createCertificateProviderServerCredentials(
    authorities,
    authorities,
    true,
  );
  const about = { name: 'gateway', log, security, folder, connectionsMax: CONNECTIONS_MAX };
  return createRpcServer({ ...about, foreign: { gate, credentials } }).add(GatewayService, {
    join: raw((call, { caller }) => {
      const certificate = gate.certificateOf(caller);
      let session: Session;
      try {
        session = sessions.open({
          ...{ peer: caller.cluster, dialled: false, stream: call },
          fail: (error) => failStream(call, error),
          certificate: () => certificate,
          them: () => certificate && identityOf(certificate),
        });
      } catch (error) {
        failStream(call, fromServiceError(error));
        return;
      }
      const lost = (): void => session.lost(new RpcError(Code.Unavailable, 'the other gateway ended it'));
      call.on('data', ({ frames }) => session.receive(frames));
      call.on('cancelled', lost);
      call.on('end', () => {
        lost();
        call.end();
      });
    }),
  });
}

function stateOf(
  name: string,
  {
    file,
    sessions,
    names,
    memory,
  }: { file: PolicyFile; sessions: Sessions; names: ImportedNames; memory: CrossingMemory },
): PeerState {
  const peer = file.policy.peers.get(name)!;
  const session = sessions.of(name);
  const meter = sessions.meter(name);
  const { receivedMessages, sentMessages, receivedBytes, sentBytes, refused, rateLimited, droppedHellos } =
    meter;
  return create(PeerStateSchema, {
    ...{ name, address: peer.address ?? '', connected: session !== undefined },
    ...{ sinceMs: BigInt(session?.sinceMs ?? 0), reason: sessions.reasonOf(name) },
    ...{
      exported: [...peer.exports.keys()].sort(),
      imported: names.of(name),
      circuits: session?.circuits ?? 0,
    },
    ...{ receivedMessages: BigInt(receivedMessages), sentMessages: BigInt(sentMessages) },
    ...{ receivedBytes: BigInt(receivedBytes), sentBytes: BigInt(sentBytes) },
    ...{ dataspaces: memory.of(name), lentPages: BigInt(meter.lentPages) },
    ...{ borrowedPages: BigInt(meter.borrowedPages), overduePages: BigInt(meter.overduePages) },
    lostPages: BigInt(meter.lostPages),
    ...{ refused: BigInt(refused), rateLimited: BigInt(rateLimited), droppedHellos: BigInt(droppedHellos) },
    fingerprint: sessions.fingerprintOf(name),
  });
}
