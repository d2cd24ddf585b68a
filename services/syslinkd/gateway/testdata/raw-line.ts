// A line to a gateway by raw grpc-js: whoever has it says what they like.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { JoinRequestSchema, JoinResponseSchema } from '@odonata/proto/gateway/v1/gateway';
import { type Frame, FrameSchema } from '@odonata/proto/syslink/v1/syslink';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { TLS_OPTIONS } from '@odonata/rpc/tls.ts';
import { cleanup } from '../../testdata/routers.ts';

export const JOIN = '/odonata.gateway.v1.GatewayService/Join';

export const sslOf = ({ identity }: TlsFolder, authority: Buffer): grpc.ChannelCredentials =>
  grpc.credentials.createSsl(authority, identity.keyPem, identity.certificatePem, {
    checkServerIdentity: () => undefined,
  });

/** With all that came by it, and how it ended. */
export async function rawLine(of: { port: number; folder: TlsFolder; authority: Buffer }) {
  const channel = new grpc.Client(`127.0.0.1:${of.port}`, sslOf(of.folder, of.authority), {
    ...TLS_OPTIONS,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_send_message_length': -1,
  });
  const raw = (message: Buffer): Buffer => message;
  const stream = channel.makeBidiStreamRequest(JOIN, raw, raw);
  const heard: Frame['frame'][] = [];
  const over = Promise.withResolvers<{ code: number; details: string }>();
  stream.on('data', (message: Buffer) => {
    for (const each of fromBinary(JoinResponseSchema, message).frames)
      heard.push(fromBinary(FrameSchema, each).frame);
  });
  stream.on('error', () => {});
  stream.on('status', ({ code, details }) => over.resolve({ code, details }));
  cleanup.push(() => {
    stream.cancel();
    channel.close();
  });
  const sendBytes = (...frames: Uint8Array[]): boolean =>
    stream.write(Buffer.from(toBinary(JoinRequestSchema, create(JoinRequestSchema, { frames }))));
  const send = (...frames: Frame[]): boolean =>
    sendBytes(...frames.map((each) => toBinary(FrameSchema, each)));
  const closes = () => heard.filter(({ case: what }) => what === 'circuitClose');
  return { stream, heard, over: over.promise, send, sendBytes, closes, end: () => stream.cancel() };
}
