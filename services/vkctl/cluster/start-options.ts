// What a cluster of this machine may be started with.
import type { LogLevel } from '@odonata/rpc/log.ts';
import type { LayerName } from '@odonata/userfault/sandbox/layer-names.ts';
import type { Membership } from '../machine/membership.ts';
import type { StartProgress } from './until-ready.ts';

export interface StartOptions {
  cluster: string;
  nodes: number;
  /** Replicas of the directory; 1 unless told otherwise. */
  directories?: number;
  /** Routers; 1 unless told otherwise. */
  routers?: number;
  /** Of the first router; 0: any free one. */
  port: number;
  /** By which other machines reach it and may join; else it is of this machine alone. */
  host?: string;
  /** It is a node of a cluster that began elsewhere; then `nodes`, `port` and `host` say nothing. */
  membership?: Membership;
  allowDirs?: string[];
  /** Where programs may listen, as vkerneld's --allow-listen. */
  allowListen?: string[];
  /** Where programs may connect to, as vkerneld's --allow-connect. */
  allowConnect?: string[];
  /** Frames of each node. */
  framesBytes?: number | undefined;
  /** Swap of each node, of this folder's disk. */
  swapBytes?: number | undefined;
  /** What the backing store may hold; else by the disk. */
  storeBytes?: number;
  /** Without the store that an earlier life of the cluster left. */
  fresh?: boolean;
  /** Layers of confinement that virtual kernels may do without. */
  allowUnconfined?: LayerName[];
  vkernelUids?: number | undefined;
  /** Without these although the machine has them: to measure what they cost. */
  unconfined?: readonly LayerName[];
  leaseMs?: number;
  /** That one user may own. */
  userDataspaces?: number;
  /** Made by hand, of each node, also of one user. */
  nodeVmspaces?: number | undefined;
  /** How long nothing runs in a virtual kernel until it is parked; 0: it never is. */
  parkAfterMs?: number | undefined;
  /** The collector of traces. */
  traceOtlp?: string;
  /** Part of what begins that is traced. */
  traceSample?: number;
  logLevel?: LogLevel;
  /** Without identities: everybody who reaches a service may do everything. */
  insecure?: boolean;
  /** Services reach each other at host:port, as on several machines, and not at unix sockets. */
  overTcp?: boolean;
  /** The folder of the services that run; this checkout's unless told otherwise. */
  servicesDir?: string;
  /** Goes down by itself when this process (a pid) is gone. */
  owner?: number;
  timeoutMs?: number;
  signal?: AbortSignal;
  onProgress?: (progress: StartProgress) => void;
  /** A line for people: it starts, and not quite as one might think. */
  onNote?: (line: string) => void;
}
