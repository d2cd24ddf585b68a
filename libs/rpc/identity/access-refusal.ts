// Who was refused for who they are: counted and told wherever a call ends so (served-call.ts), at whichever server.
import { Code, RpcError } from '../error.ts';
import type { SecurityLog } from '../security-log.ts';
import { type Caller, NOBODY, shownCaller } from './identity.ts';

/**
 * authentication  nobody of this cluster: no token, a wrong or a revoked certificate
 * role            somebody whose role may not call this
 * owner           somebody whose it is not
 * identity        somebody who speaks in the name of somebody else
 */
export type AccessAttempt = 'authentication' | 'role' | 'owner' | 'identity';

export class AccessRefusal extends RpcError {
  readonly attempt: AccessAttempt;
  /** For whom it was asked, where that is not who calls. */
  readonly user: string | undefined;
  /** For who looks after the cluster: whoever is refused may hear less. */
  readonly about: string;

  constructor(
    attempt: AccessAttempt,
    details: string,
    { user, cause, heard }: { user?: string | undefined; cause?: unknown; heard?: RpcError } = {},
  ) {
    const code = attempt === 'authentication' ? Code.Unauthenticated : Code.PermissionDenied;
    super(heard?.code ?? code, heard?.details ?? details, {
      ...(cause !== undefined && { cause }),
      ...(heard !== undefined && { more: heard.more }),
    });
    this.about = details;
    this.attempt = attempt;
    this.user = user;
  }
}

/** @param address where they call from: who they are is not known of all */
export function tellOfAccess(
  security: SecurityLog,
  { attempt, about, user }: AccessRefusal,
  { rpc, caller, address }: { rpc: string; caller: Caller; address: string },
): void {
  const who = user || (caller === NOBODY ? hostOf(address) : shownCaller(caller));
  security.refused(attempt, who, `${who}: ${rpc}: ${about}`, { rpc });
}

/** Without the port, which each connection has another one of. Of unix sockets grpc-js says `unknown`. */
function hostOf(address: string): string {
  return shownHost(/^(.*):\d+$/.exec(address)?.[1] ?? address);
}

/** @param host without a port; undefined of unix sockets */
export const shownHost = (host = ''): string =>
  host === '' || host === 'unknown' ? 'somebody on this machine' : host.slice(0, 128);
