// Which cluster is meant, and where its routers are:
//
//   syslink: 'a:7411,b:7411'   routers of a cluster that runs anywhere
//   cluster: 'name'            a cluster of this machine, by its folder
//   context: 'name'            one that was kept under that name, with who we are there
//   nothing                    ODONATA_SYSLINK; else ODONATA_CLUSTER, of this machine; else ODONATA_CONTEXT, or the context in
//                              use; else the cluster `default` of this machine
import { isAddress } from '@odonata/rpc/address.ts';
import { Code } from '@odonata/rpc/error.ts';
import { routerAddresses } from '@odonata/rpc/syslink/routers.ts';
import { clientError } from './client-error.ts';
import { type Credential, credentialOfEnv } from './credential.ts';
import { contextInUse, knownContext } from './local/contexts.ts';
import { credentialHere } from './local/identity-folder.ts';
import { readRunning } from './local/record.ts';
import { type Location, locationOf, runningRecord } from './local/running.ts';
import { clusterNameOf, stateFolder } from './local/state-folder.ts';

export interface Where {
  /** With `syslink` only what it is called. */
  readonly cluster?: string;
  /** Of the routers, host:port each, with commas between. */
  readonly syslink?: string;
  /** Where neither `syslink` nor `cluster` is given; empty: clusters of this machine. */
  readonly context?: string;
  readonly credential?: Credential;
}

export type { Location };

/** @throws RpcError INVALID_ARGUMENT for what is no name or address, UNAVAILABLE where no such cluster runs here, NOT_FOUND: no context */
export async function locate(where: Where = {}, signal?: AbortSignal): Promise<Location> {
  const { ODONATA_SYSLINK: ofEnv } = process.env;
  const isNamed = where.cluster !== undefined || where.context !== undefined;
  const syslink = where.syslink ?? (!isNamed && ofEnv ? ofEnv : undefined);
  const context = syslink === undefined ? contextMeant(where) : undefined;
  if (context !== undefined) {
    const { cluster, syslink: list, tlsDir } = knownContext(context);
    return { cluster, routers: routersOf(list, 'context'), credential: where.credential ?? { tlsDir } };
  }
  const cluster = clusterNameOf(where.cluster);
  if (syslink === undefined) {
    const here = locationOf(await runningRecord(cluster, signal));
    return where.credential === undefined ? here : { ...here, credential: where.credential };
  }
  const routers = routersOf(syslink, where.syslink === undefined ? 'ODONATA_SYSLINK' : 'syslink');
  return { cluster, routers, credential: where.credential ?? credentialFor(cluster, routers) };
}

/**
 * Where none is given: that of the environment, else, where routers are those of the cluster of this name on this machine,
 * that of whoever started it.
 */
export function credentialFor(cluster: string, routers: string): Credential | undefined {
  const ofEnv = credentialOfEnv();
  if (ofEnv !== undefined) return ofEnv;
  const record = readRunning(stateFolder(cluster).clusterFile);
  const here = record?.services.flatMap(({ address, socket = address }) => [address, socket]) ?? [];
  const isHere = routerAddresses(routers).some((address) => here.includes(address));
  return record !== undefined && isHere ? credentialHere(record.plan) : undefined;
}

/** Undefined: a cluster of this machine. */
function contextMeant({ cluster, context }: Where): string | undefined {
  if (context !== undefined) return context || undefined;
  return cluster === undefined && !process.env.ODONATA_CLUSTER ? contextInUse() : undefined;
}

/** The addresses of a list, with commas between. @throws RpcError INVALID_ARGUMENT */
export function routersOf(list: string, from = 'syslink'): string {
  const addresses = routerAddresses(list);
  const wrong = addresses.find((address) => !isAddress(address));
  if (wrong === undefined && addresses.length > 0) return addresses.join();
  const address = wrong ?? list;
  throw clientError(
    Code.InvalidArgument,
    'BAD_ADDRESS',
    { from, address },
    `${from}: "${address}" is no address; use host:port, several with commas`,
  );
}
