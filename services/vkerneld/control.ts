import type { AttachHello, AttachRequest } from '@odonata/proto/vkernel/v1/vkernel';
import { ControlService } from '@odonata/proto/vkernel/v1/vkernel';
import { internal, metBug } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { SecurityEvents } from '@odonata/rpc/security-events.ts';
import type { RpcServer } from '@odonata/rpc/server.ts';
import { createRpcServer, failStream, raw } from '@odonata/rpc/server.ts';
import type { UidRange } from '@odonata/rpc/vkernel-uids.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import type { DescriptorDoor } from '@odonata/userfault/descriptor-door.ts';
import { close } from '@odonata/userfault/libc.ts';
import type { ControlLine, VkernelChild } from './vkernel-child.ts';
import type { Vkernels } from './vkernels.ts';

/** The server that the virtual kernels attach to, for a socket of the node only. `guests`: whom it lets in beside us. */
export function controlServer(
  vkernels: Vkernels,
  door: DescriptorDoor,
  { guests, security, log }: { guests: UidRange | undefined; security: SecurityEvents; log: Logger },
): RpcServer {
  const gate = new WireGate('vkerneld', log);
  return createRpcServer({ name: 'vkerneld control', log, security, guests }).add(ControlService, {
    attach: raw((call) => {
      let child: VkernelChild | undefined;
      let over = false;
      /** More was sent than it took. */
      let isFull = false;
      const waiting = new Set<() => void>();
      const takesMore = () => {
        isFull = false;
        for (const resume of waiting) resume();
        waiting.clear();
      };
      const line: ControlLine = {
        send(order) {
          if (!over) isFull = !call.write({ event: order });
        },
        drained: (signal) =>
          new Promise((resolve) => {
            if (!isFull || over || signal.aborted) return resolve();
            const resume = () => {
              signal.removeEventListener('abort', resume);
              waiting.delete(resume);
              resolve();
            };
            waiting.add(resume);
            signal.addEventListener('abort', resume, { once: true });
          }),
        end(error) {
          if (over) return;
          gone();
          failStream(call, error);
        },
      };
      const gone = () => {
        if (over) return;
        over = true;
        takesMore();
        child?.lostLine(line);
      };
      call.on('data', (request: AttachRequest) => {
        if (over) return;
        try {
          if (child !== undefined) vkernels.receive(child, request);
          else if (request.event.case === 'hello') {
            const hello = request.event.value;
            gate.agree(`vkernel ${hello.name}`, hello.wire);
            vkernels.expectOurs(hello);
            // Before all that it is told.
            call.write({ event: { case: 'welcome', value: { wire: wireSpoken() } } });
            child = vkernels.attach(hello, line, knocked(door, hello));
          } else throw new RpcError(Code.InvalidArgument, 'the first message must be a hello');
        } catch (error) {
          log.warn({ err: error }, 'ending the line of a virtual kernel');
          if (!(error instanceof RpcError)) metBug(log, error, { vkernel: child?.key });
          line.end(error instanceof RpcError ? error : internal(error));
        }
      });
      call.on('drain', takesMore);
      call.on('cancelled', gone);
      call.on('end', () => {
        gone();
        call.end();
      });
    }),
  });
}

/** The connection on which it gets descriptors. */
function knocked(door: DescriptorDoor, { descriptorToken }: AttachHello): number | undefined {
  const found = descriptorToken.length === 0 ? undefined : door.claim(descriptorToken);
  if (found?.fd !== undefined) close(found.fd);
  return found?.socket;
}
