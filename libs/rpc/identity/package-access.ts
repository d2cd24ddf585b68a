// Who may call what every server has beside its own services, whose .proto is not ours.

import { Role } from '@odonata/proto/auth/v1/access';
import { Channelz } from '@odonata/proto/grpc/channelz/v1/channelz';
import { Health } from '@odonata/proto/grpc/health/v1/health';
import type { AccessRule } from './access.ts';

const PEOPLE = [Role.ADMIN, Role.OPERATOR, Role.USER, Role.VIEWER];
const SERVICES = [Role.COHD, Role.PMAPD, Role.VKERNELD, Role.SYSLINKD, Role.DOOR];

const ruleFor = (...roles: Role[]): AccessRule => ({ roles: new Set(roles), owner: new Set() });

/** By service. Channelz shows who is connected to whom. */
const RULES: ReadonlyMap<string, AccessRule> = new Map([
  [Health.typeName, ruleFor(...PEOPLE, ...SERVICES)],
  ['grpc.reflection.v1.ServerReflection', ruleFor(...PEOPLE, ...SERVICES)],
  ['grpc.reflection.v1alpha.ServerReflection', ruleFor(...PEOPLE, ...SERVICES)],
  [Channelz.typeName, ruleFor(Role.ADMIN, Role.OPERATOR)],
]);

export const PACKAGE_SERVICES: readonly string[] = [...RULES.keys()];

/** @param path `/grpc.health.v1.Health/Check` */
export function packageRule(path: string): AccessRule {
  const [, service = ''] = path.split('/');
  return RULES.get(service) ?? ruleFor();
}
