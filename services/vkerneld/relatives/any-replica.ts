// What any replica of the coherency directory knows: all that are there are asked, and the first that answers tells.
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Client } from '@odonata/rpc/service.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';

/** @throws RpcError what one of them said, where none answers; UNAVAILABLE: there is none */
export async function askAnyReplica<T>(
  syslink: SyslinkEndpoint,
  ask: (directory: Client<typeof DirectoryService>) => Promise<T>,
): Promise<T> {
  const endpoints = await syslink.listEndpoints();
  const replicas = endpoints.filter(({ kind }) => kind === EndpointKind.DIRECTORY);
  try {
    return await Promise.any(replicas.map(({ name }) => ask(syslink.client(DirectoryService, { name }))));
  } catch (error) {
    const [first] = (error as AggregateError).errors;
    throw first ?? new RpcError(Code.Unavailable, 'no replica of the coherency directory is there');
  }
}
