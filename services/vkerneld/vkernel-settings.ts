// What a virtual kernel is started with: where its node is, and who it is.
import { Role } from '@odonata/proto/auth/v1/access';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { makeToken } from '@odonata/rpc/identity/token.ts';
import { type VkernelSockets, vkernelSockets } from '@odonata/rpc/vkernel-sockets.ts';
import type { Sandbox } from '@odonata/userfault/sandbox/sandbox.ts';

export interface VkernelPlace {
  readonly node: string;
  readonly nodeIndex: number;
  readonly socketDir: string;
  /** Where its pmapd is. */
  readonly ofPmapd: Pick<VkernelSockets, 'pmap' | 'userfault'>;
  readonly logLevel: string;
  /** Our identity; absent: nobody has one. */
  readonly folder?: TlsFolder | undefined;
  readonly sandbox: Sandbox;
  /** Part of the faults of virtual kernels that is traced; absent: none. */
  readonly traceSample?: number;
  /** For tests: the program; its own otherwise. */
  readonly program?: string;
}

/** Whose it is. */
export interface VkernelOwner {
  readonly user: string;
  readonly groups: readonly string[];
}

/** All that it gets to know of us. */
export function settingsOf(
  key: string,
  index: number,
  token: string,
  place: VkernelPlace,
): Readonly<Record<string, string>> {
  const { node, nodeIndex, socketDir, logLevel, traceSample = 0 } = place;
  const { control } = vkernelSockets(socketDir);
  const { pmap, userfault } = place.ofPmapd;
  return {
    ODONATA_VKERNEL_NAME: key,
    ODONATA_VKERNEL_TOKEN: token,
    ODONATA_VKERNEL_CONTROL: `unix:${control}`,
    ODONATA_VKERNEL_PMAP: `unix:${pmap}`,
    ODONATA_VKERNEL_USERFAULT: userfault,
    ODONATA_VKERNEL_NODE: node,
    ODONATA_VKERNEL_NODE_INDEX: String(nodeIndex),
    ODONATA_VKERNEL_INDEX: String(index),
    ODONATA_VKERNEL_LOG_LEVEL: logLevel,
    ...(traceSample > 0 && { ODONATA_VKERNEL_TRACE_SAMPLE: String(traceSample) }),
  };
}

/** Whom it may say that it is, as long as our own certificate lasts. */
export function identityOf(
  { name, user, groups }: VkernelOwner & { name: string },
  { node, socketDir, ofPmapd, folder }: VkernelPlace,
): Readonly<Record<string, string>> {
  if (folder === undefined) return {};
  const { identity } = folder;
  const { cluster } = identity.caller;
  const nowMs = Date.now();
  const subject = { cluster, role: Role.VKERNEL, name: `${node}/${name}`, user, groups };
  const audience = [`unix:${vkernelSockets(socketDir).control}`, `unix:${ofPmapd.pmap}`];
  const lifeMs = identity.certificate.validToDate.getTime() - nowMs;
  return { ODONATA_VKERNEL_IDENTITY: makeToken(identity, { audience, nowMs, lifeMs, subject }) };
}
