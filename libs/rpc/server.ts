import type { Server } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { Channelz } from '@odonata/proto/grpc/channelz/v1/channelz';
import { isUnix, ListenError } from './address.ts';
import { FRAME_BOUNDS, HEADERS_BYTES, SERVER_OPTIONS, WINDOW_BYTES } from './channel.ts';
import { boundConnections, CONNECTIONS_MAX } from './connection-bounds.ts';
import { closeGoneConnections } from './gone-connections.ts';
import { watchHandshakes } from './handshakes.ts';
import { ServingState } from './health.ts';
import { Gate } from './identity/gate.ts';
import { guarded } from './identity/guarded.ts';
import type { Caller } from './identity/identity.ts';
import { ownFolder } from './identity/own.ts';
import type { TlsFolder } from './identity/tls-folder.ts';
import type { LimitsLog } from './limits.ts';
import type { Logger } from './log.ts';
import { addOnDemand, methodsOf } from './on-demand-service.ts';
import { OpenStreams } from './open-streams.ts';
import { addReflection } from './reflection.ts';
import { RefusalLog } from './refusal-log.ts';
import { CALLS_MAX, RunningCalls } from './running-calls.ts';
import type { SecurityLog } from './security-log.ts';
import type { CallMeter } from './served-call.ts';
import { type Guard, grpcHandler } from './server-call.ts';
import type { AnyService, Handlers } from './service.ts';
import { decoder, encoder, handlerOf, isRequestStream, isResponseStream, methodPath } from './service.ts';
import { serverCredentials } from './tls.ts';
import { requestDecoder } from './undecodable.ts';
import { UnixDoors } from './unix-doors.ts';
import type { UidRange } from './vkernel-uids.ts';

export { isListening } from './listening.ts';
export { failStream } from './server-call.ts';
export type { CallContext, Handlers } from './service.ts';
export { raw } from './service.ts';

/** A gRPC server with all that every server of ours has: reflection, health, channelz, request logs, drain. */
export interface RpcServer {
  /** Before the first `listen`. */
  add<S extends AnyService>(service: S, handlers: Handlers<S>): RpcServer;
  /** Does ahead what the first `listen` would do before it listens, and which takes a while. */
  complete(): void;
  /** `host:port` (port 0: any) or `unix:/path`; resolves with the bound address. May be called several times. */
  listen(address: string): Promise<string>;
  /** True where somebody was let in by a certificate that counts no more: whoever keeps a stream of theirs ends it. */
  isRevoked(caller: Caller): boolean;
  /** What health answers from now on. */
  setServing(serving: boolean): void;
  /** Takes no new calls, waits for those that run, and ends what is left after so many milliseconds. */
  drain(deadlineMs: number): Promise<void>;
}

export interface RpcServerOptions {
  readonly name: string;
  readonly log: Logger;
  /** Counts the calls. */
  readonly meter?: CallMeter;
  /** Hears of messages that were refused as they came in. */
  readonly security?: SecurityLog | undefined;
  /** Whom it serves as; this process' own identity unless told otherwise. */
  readonly folder?: TlsFolder | undefined;
  /** Where it is told which of its limits are hit. */
  readonly limits?: LimitsLog | undefined;
  /** Other uids of this machine that its unix sockets let in: of virtual kernels. */
  readonly guests?: UidRange | undefined;
  /** Of each address; `CONNECTIONS_MAX` unless told otherwise. */
  readonly connectionsMax?: number;
  /** In which a connection says who it is; less in tests. */
  readonly handshakeMs?: number;
  /** Where those of other clusters come in, and nobody of ours: who they are, and by which authorities. */
  readonly foreign?: { readonly gate: Gate; readonly credentials: grpc.ServerCredentials };
}

export function createRpcServer(options: RpcServerOptions): RpcServer {
  const { name, log } = options;
  const folder = options.folder ?? ownFolder();
  const gate = options.foreign?.gate ?? new Gate(folder);
  const streams = new OpenStreams(gate, log);
  const refusals = new RefusalLog(log);
  const running = new RunningCalls(CALLS_MAX, (who, reason) => options.limits?.count('calls', who, reason));
  const { connectionsMax = CONNECTIONS_MAX } = options;
  const doors = new UnixDoors(log, connectionsMax, options.guests);
  const server = new grpc.Server(SERVER_OPTIONS);
  setHttp2(server);
  const services: AnyService[] = [];
  const health = new ServingState();
  const bounded = new WeakSet<Server>();
  let completed = false;
  let draining: Promise<void> | undefined;
  const rpcServer: RpcServer = {
    add(service, handlers) {
      if (completed) throw new Error(`bug: ${service.typeName} is added to a server that already listens`);
      services.push(service);
      server.addService(
        definitionOf(service),
        implementationOf(service, handlers, { ...options, gate, streams, refusals, running }),
      );
      health.set(service.typeName, true);
      return rpcServer;
    },
    complete() {
      if (completed) return;
      completed = true;
      const taker = guarded(server, { gate, refusals, security: options.security });
      addReflection(taker, services);
      health.addTo(taker);
      addOnDemand(taker, methodsOf(Channelz), (taker) => grpc.addAdminServicesToServer(taker as grpc.Server));
    },
    async listen(address) {
      rpcServer.complete();
      if (!isUnix(address)) closeGoneConnections();
      const bound = isUnix(address)
        ? await doors.open(address, server)
        : await bind(server, address, options.foreign?.credentials ?? serverCredentials(address, folder));
      for (const each of listening(server)) {
        if (bounded.has(each)) continue;
        bounded.add(each);
        boundConnections(each, { ...options, connectionsMax });
        watchHandshakes(each, { ...options, refusals });
      }
      gate.serves(bound);
      streams.watch();
      log.info({ address: bound }, `${name} listens`);
      return bound;
    },
    isRevoked: (caller) => gate.isRevoked(caller),
    setServing(serving) {
      health.setAll(serving);
    },
    drain(deadlineMs) {
      draining ??= drain(deadlineMs);
      return draining;
    },
  };
  async function drain(deadlineMs: number): Promise<void> {
    rpcServer.setServing(false);
    doors.close();
    const over = new Promise<boolean>((resolve) => server.tryShutdown(() => resolve(true)));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), deadlineMs);
    });
    const clean = await Promise.race([over, late]);
    clearTimeout(timer);
    streams.rest();
    if (!clean) log.info({ deadlineMs }, 'calls still run after the drain; ending them');
    server.forceShutdown();
  }
  return rpcServer;
}

function definitionOf(service: AnyService): grpc.ServiceDefinition {
  const definition: Record<string, grpc.MethodDefinition<unknown, unknown>> = {};
  for (const method of service.methods) {
    definition[method.localName] = {
      path: methodPath(method),
      originalName: method.localName,
      requestStream: isRequestStream(method),
      responseStream: isResponseStream(method),
      requestSerialize: encoder(method.input),
      requestDeserialize: requestDecoder(decoder(method.input)),
      responseSerialize: encoder(method.output),
      responseDeserialize: decoder(method.output),
    };
  }
  return definition;
}

function implementationOf(
  service: AnyService,
  handlers: object,
  options: RpcServerOptions & Guard,
): grpc.UntypedServiceImplementation {
  const implementation: grpc.UntypedServiceImplementation = {};
  for (const method of service.methods) {
    implementation[method.localName] = grpcHandler(method, handlerOf(handlers, method), options);
  }
  return implementation;
}

async function bind(server: grpc.Server, address: string, by: grpc.ServerCredentials): Promise<string> {
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, by, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new ListenError(address, 'listen', error));
    });
  });
  return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
}

/**
 * grpc-js has an option for the receive window of clients, none for that of servers, nor for bounds of frames. Until it has, reach
 * in; where its insides changed, the server works with the small window (a test tells). The window of the whole connection
 * stays at 64 KiB: see `WINDOW_BYTES`.
 */
function setHttp2(server: grpc.Server): void {
  const inside = server as unknown as { commonServerOptions?: { settings?: object } };
  if (inside.commonServerOptions === undefined) return;
  const { settings } = inside.commonServerOptions;
  const wanted = { ...settings, initialWindowSize: WINDOW_BYTES, maxHeaderListSize: HEADERS_BYTES };
  Object.assign(inside.commonServerOptions, FRAME_BOUNDS, { settings: wanted });
}

/** Those of TCP, and one that unix sockets are given to. grpc-js does not show them; where its insides changed, a test tells. */
function listening(server: grpc.Server): Iterable<Server> {
  return (server as unknown as { http2Servers?: Map<Server, unknown> }).http2Servers?.keys() ?? [];
}
