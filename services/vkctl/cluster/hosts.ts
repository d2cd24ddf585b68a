// Where services of a cluster listen, and where they are reached: on loopback, or where the cluster has an address, from other
// machines.
import type { ClusterPlan } from './record.ts';

type Where = Pick<ClusterPlan, 'host' | 'listenHost'>;

/** Of this machine alone. */
export const LOOPBACK = '127.0.0.1';
/** Of no host in particular: where the address of the cluster is none of this machine, as behind a router that translates. */
export const ANY_HOST = '0.0.0.0';

export const joined = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Where others reach it, also from other machines. */
export const farAddress = ({ host = LOOPBACK }: Where, port: number): string => joined(host, port);

/** What it listens on. */
export const listenAddress = ({ host = LOOPBACK, listenHost = host }: Where, port: number): string =>
  joined(listenHost, port);

/** Where this machine reaches it. */
export const nearAddress = ({ host = LOOPBACK, listenHost = host }: Where, port: number): string =>
  joined(listenHost === ANY_HOST ? LOOPBACK : listenHost, port);
