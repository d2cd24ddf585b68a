// What a command makes when it first needs it, and keeps: made beforehand.
import { create, type DescMessage, toBinary } from '@bufbuild/protobuf';
import { readRunning } from '@odonata/client/local/record.ts';
import { PmapService } from '@odonata/proto/pmap/v1/pmap';
import { FrameSchema, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { checkOf } from '@odonata/rpc/constraints/message.ts';
import { decoder, encoder } from '@odonata/rpc/service.ts';
import { readRecord } from '../cluster/record.ts';

/** @param json any file of JSON: what reads records of clusters is made ready by it, and finds none there */
export function makeReady(json: string): void {
  readRunning(json);
  readRecord(json);
  // Who asks for it first has Node load what it is of.
  performance.now();
  const { getNodeStats } = PmapService.method;
  const methods = [...VkernelService.methods, ...RouterService.methods, getNodeStats];
  const messages = new Set<DescMessage>([
    FrameSchema,
    ...methods.flatMap(({ input, output }) => [input, output]),
  ]);
  for (const schema of messages) {
    checkOf(schema);
    encoder(schema)(create(schema));
    try {
      decoder(schema)(toBinary(schema, create(schema)));
    } catch {
      // Nothing in it is against its constraints, as they are made by now.
    }
  }
}
