// What crosses at the moment, so that it can be ended when the policy no longer allows it.
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { ownUser, type Peer, type Policy } from './policy.ts';

export interface Crossing {
  readonly peer: string;
  /** As the cluster that has it calls it. */
  readonly name: string;
  /** Who asks, as their own cluster calls them, and in which groups of ours they are. */
  readonly user: string;
  readonly groups: readonly string[];
  readonly inbound: boolean;
  readonly method: string;
  end(error: RpcError): void;
}

export type Asking = Omit<Crossing, 'end'>;

/** Undefined: the policy allows it. What is not allowed is not there, for the other side. */
export function whyNot({ peer: cluster, ...asking }: Asking, policy: Policy): RpcError | undefined {
  const peer = policy.peers.get(cluster);
  if (peer === undefined)
    return new RpcError(Code.PermissionDenied, `cluster "${cluster}" is not in the policy`);
  return asking.inbound ? whyNotExported(asking, peer) : whyNotImported(asking, peer);
}

function whyNotExported({ name, user, method }: Omit<Asking, 'peer'>, peer: Peer): RpcError | undefined {
  const methods = peer.exports.get(name);
  if (methods === undefined) return new RpcError(Code.NotFound, `nobody has the name "${name}"`);
  if (!methods.includes(method))
    return new RpcError(Code.PermissionDenied, `"${name}" is not exported for ${method}`);
  if (ownUser(peer, user) === undefined)
    return new RpcError(Code.PermissionDenied, `"${user}" of ${peer.name} is nobody here`);
  return undefined;
}

function whyNotImported({ name, groups }: Omit<Asking, 'peer'>, peer: Peer): RpcError | undefined {
  if (!peer.imports.has(name))
    return new RpcError(Code.NotFound, `nobody has the name "${name}@${peer.name}"`);
  const wanted = peer.imports.get(name);
  if (wanted === undefined || wanted.some((group) => groups.includes(group))) return undefined;
  return new RpcError(Code.NotFound, `nobody has the name "${name}@${peer.name}"`);
}

export class Crossings {
  readonly #all = new Set<Crossing>();

  add(crossing: Crossing): () => void {
    this.#all.add(crossing);
    return () => this.#all.delete(crossing);
  }

  /** Ends what another policy does not allow. */
  look(policy: Policy): void {
    for (const crossing of [...this.#all]) {
      if (whyNot(crossing, policy) === undefined) continue;
      this.#all.delete(crossing);
      crossing.end(new RpcError(Code.PermissionDenied, `"${crossing.name}" was revoked`));
    }
  }
}
