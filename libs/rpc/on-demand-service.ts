// A service of a package that takes long to load and is seldom asked: health, channelz, reflection. A server knows its
// methods from the start, and loads the package at the first call, in the same turn.
import type * as grpc from '@grpc/grpc-js';
import { type AnyService, isRequestStream, isResponseStream, methodPath } from './service.ts';

export interface OnDemandMethod {
  /** `/grpc.health.v1.Health/Check` */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

/** Where a package adds its services to; the part of a server that it needs. */
export type ServiceTaker = Pick<grpc.Server, 'addService'>;

interface Loaded {
  readonly definition: grpc.MethodDefinition<unknown, unknown>;
  readonly handle: (...call: unknown[]) => void;
}

export const methodsOf = (service: AnyService): OnDemandMethod[] =>
  service.methods.map((method) => ({
    path: methodPath(method),
    requestStream: isRequestStream(method),
    responseStream: isResponseStream(method),
  }));

/** @param load adds services with at least these methods to what it is given; called once. */
export function addOnDemand(
  server: ServiceTaker,
  methods: readonly OnDemandMethod[],
  load: (taker: ServiceTaker) => void,
): void {
  let loaded: ReadonlyMap<string, Loaded> | undefined;
  const method = (path: string): Loaded => {
    loaded ??= loadAll(load);
    const found = loaded.get(path);
    if (found === undefined) throw new Error(`bug: the package that serves ${path} does not have it`);
    return found;
  };
  const definition: Record<string, grpc.MethodDefinition<unknown, unknown>> = {};
  const implementation: Record<string, unknown> = {};
  for (const { path, requestStream, responseStream } of methods) {
    definition[path] = {
      path,
      requestStream,
      responseStream,
      requestSerialize: (request) => method(path).definition.requestSerialize(request),
      requestDeserialize: (bytes) => method(path).definition.requestDeserialize(bytes),
      responseSerialize: (response) => method(path).definition.responseSerialize(response),
      responseDeserialize: (bytes) => method(path).definition.responseDeserialize(bytes),
    };
    implementation[path] = (...call: unknown[]) => method(path).handle(...call);
  }
  server.addService(definition, implementation as grpc.UntypedServiceImplementation);
}

function loadAll(load: (taker: ServiceTaker) => void): ReadonlyMap<string, Loaded> {
  const loaded = new Map<string, Loaded>();
  load({
    addService(definition, implementation) {
      for (const [name, method] of Object.entries(definition)) {
        const handler = implementation[name] ?? implementation[method.originalName ?? ''];
        if (handler === undefined) continue;
        const handle = (handler as Loaded['handle']).bind(implementation);
        loaded.set(method.path, { definition: method, handle });
      }
    },
  });
  return loaded;
}
