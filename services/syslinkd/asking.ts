// Who asks, as it goes with a request: what the router knows of them, and not what they say.
import { create } from '@bufbuild/protobuf';
import { type Caller, CallerSchema, Role } from '@odonata/proto/auth/v1/access';
import type { CircuitOpen, Message } from '@odonata/proto/syslink/v1/syslink';
import { AccessRefusal } from '@odonata/rpc/identity/access-refusal.ts';
import { isForeign, mayCross } from '@odonata/rpc/syslink/crossing.ts';
import { isScoped } from '@odonata/syslink/names/name-table.ts';
import type { Endpoint } from './registry.ts';

/**
 * What comes by the line to another router says itself who asks. A gateway asks for a user of ours, whom one of another cluster was
 * mapped to: by names only, and nothing of the cluster itself.
 * @throws RpcError PERMISSION_DENIED
 */
export function whoAsks(from: Endpoint, request: Message | CircuitOpen): Caller | undefined {
  const { caller } = from;
  if (from.isLink) return request.caller;
  if (caller.role !== Role.GATEWAY) return messageOf(caller);
  const name = request.to?.sysid === 0n ? request.to.name : '';
  if (!isScoped(name) || isForeign(name) || !mayCross(request.proto))
    throw new AccessRefusal('identity', `gateway ${caller.name} may not ask "${name}" for ${request.proto}`);
  if (request.caller?.role !== Role.USER || request.caller.name === '')
    throw new AccessRefusal('identity', `gateway ${caller.name} does not say for which user it asks`);
  return create(CallerSchema, { role: Role.USER, name: request.caller.name });
}

const messages = new WeakMap<object, Caller>();

/** The same one each time: it goes with each request, and nobody changes it. */
function messageOf(caller: Endpoint['caller']): Caller {
  const known = messages.get(caller);
  if (known !== undefined) return known;
  const { role, name, groups } = caller;
  const message = create(CallerSchema, { role, name, groups: [...groups] });
  messages.set(caller, message);
  return message;
}
