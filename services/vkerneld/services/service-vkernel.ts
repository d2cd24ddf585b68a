// The virtual kernel of an instance: `svc-NAME-REPLICA` of the service's owner. Nobody else makes one of such a name.
import { instanceKey } from '@odonata/services/record.ts';

const NAME = /^svc-([a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?)-(\d{1,2})$/;

export const isOfService = (vkernel: string): boolean => vkernel.startsWith('svc-');

export const vkernelOf = (service: string, replica: number): string => `svc-${service}-${replica}`;

/** The key of the instance; undefined: it is none. */
export function instanceOfVkernel({ user, name }: { user: string; name: string }): string | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : instanceKey(user, match[1]!, Number(match[2]));
}
