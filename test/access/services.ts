// Every service of ours, and handlers that only say that they were reached.
import type { DescMethod } from '@bufbuild/protobuf';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { DoorService } from '@odonata/proto/door/v1/door';
import { EventService } from '@odonata/proto/event/v1/event';
import { GatewayService, GatewayStateService } from '@odonata/proto/gateway/v1/gateway';
import { HandOverService } from '@odonata/proto/pmap/v1/handover';
import { DataspaceService, PmapService, TransferService } from '@odonata/proto/pmap/v1/pmap';
import { KeeperService, RecordService } from '@odonata/proto/service/v1/service';
import { RouterService } from '@odonata/proto/syslink/v1/syslink';
import { PeerService } from '@odonata/proto/vkernel/v1/peer';
import { ControlService, VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { WantedService } from '@odonata/proto/vkernel/v1/wanted';
import { VmspaceService } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { AnyService, CallContext, Client, Handlers } from '@odonata/rpc/service.ts';

export const SERVICES: readonly AnyService[] = [
  RouterService,
  VkernelService,
  ControlService,
  PmapService,
  TransferService,
  DataspaceService,
  VmspaceService,
  HandOverService,
  DirectoryService,
  EventService,
  KeeperService,
  RecordService,
  WantedService,
  PeerService,
  DoorService,
  GatewayService,
  GatewayStateService,
];

/** Those that are called over syslink, too. */
export const OVER_SYSLINK: readonly AnyService[] = [
  VkernelService,
  PmapService,
  DataspaceService,
  VmspaceService,
  DirectoryService,
  EventService,
  KeeperService,
  RecordService,
  WantedService,
  PeerService,
  DoorService,
  GatewayStateService,
];

/** In the place of an answer: `all` or `own`, what the caller may touch. */
const reached = ({ scope }: CallContext): never => {
  throw new RpcError(Code.DataLoss, scope);
};

/** Handlers of a service that say what the caller may touch. */
export function telling(service: AnyService): Handlers<AnyService> {
  return Object.fromEntries(
    service.methods.map((method) => {
      const handler = isStreamed(method)
        ? // biome-ignore lint/correctness/useYield: it never gets so far
          async function* (_: unknown, ctx: CallContext) {
            reached(ctx);
          }
        : (_: unknown, ctx: CallContext) => reached(ctx);
      return [method.localName, handler];
    }),
  ) as Handlers<AnyService>;
}

const isStreamed = ({ methodKind }: DescMethod): boolean =>
  methodKind === 'server_streaming' || methodKind === 'bidi_streaming';

/** Calls a method with a request that says nothing: `all`, `own`, or the name of the code. */
export async function tried(
  client: Client<AnyService>,
  method: DescMethod,
  codeOf: (code: Code) => string,
): Promise<string> {
  const call = (client as unknown as Record<string, (request: unknown, options?: object) => unknown>)[
    method.localName
  ]!;
  const takesStream = method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming';
  // What is required is looked at before the handler.
  const asker = method.input.fields.some(({ localName }) => localName === 'asker') ? { asker: {} } : {};
  const request = takesStream ? nothing() : asker;
  try {
    const answer = call(request, { deadlineMs: 5_000 });
    if (isStreamed(method)) for await (const _ of answer as AsyncIterable<unknown>);
    else await answer;
    return 'answered';
  } catch (error) {
    const { code, details } = error as RpcError;
    return code === Code.DataLoss ? details : codeOf(code);
  }
}

async function* nothing(): AsyncGenerator<never> {}
