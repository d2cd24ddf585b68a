// What packages serve (health, channelz, reflection), behind the same gate as what we serve.
import type * as grpc from '@grpc/grpc-js';
import { fromServiceError } from '../error.ts';
import type { ServiceTaker } from '../on-demand-service.ts';
import type { RefusalLog } from '../refusal-log.ts';
import type { SecurityLog } from '../security-log.ts';
import { admit } from './access.ts';
import { AccessRefusal, tellOfAccess } from './access-refusal.ts';
import type { Gate, Greeted } from './gate.ts';
import { type Caller, NOBODY } from './identity.ts';
import { packageRule } from './package-access.ts';

type AnyCall = Greeted & { emit(event: 'error', error: unknown): boolean; getPeer(): string };
type Handle = (call: AnyCall, callback?: (error: unknown) => void) => void;

/** What keeps others away, and who hears of them. */
export interface GuardOfPackages {
  readonly gate: Gate;
  readonly refusals: RefusalLog;
  readonly security: SecurityLog | undefined;
}

export function guarded(server: ServiceTaker, by: GuardOfPackages): ServiceTaker {
  return {
    addService(definition, implementation) {
      const checked: Record<string, Handle> = {};
      for (const [name, { path }] of Object.entries(definition)) {
        const handle = implementation[name] as unknown as Handle | undefined;
        if (handle !== undefined) checked[name] = guard(path, handle.bind(implementation), by);
      }
      server.addService(definition, checked as unknown as grpc.UntypedServiceImplementation);
    },
  };
}

function guard(path: string, handle: Handle, { gate, refusals, security }: GuardOfPackages): Handle {
  const rule = packageRule(path);
  return (call, callback) => {
    let caller: Caller = NOBODY;
    try {
      caller = gate.callerOf(call);
      admit(path, rule, caller);
    } catch (error) {
      const { code, details } = fromServiceError(error);
      refusals.add({ method: path, peer: call.getPeer(), reason: details });
      if (error instanceof AccessRefusal && security !== undefined)
        tellOfAccess(security, error, { rpc: path, caller, address: call.getPeer() });
      const refused = Object.assign(new Error(details), { code, details });
      if (callback !== undefined) callback(refused);
      else call.emit('error', refused);
      return;
    }
    handle(call, callback);
  };
}
