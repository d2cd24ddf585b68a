// The next pmap manager of a node: stands by while the present one runs, then goes on with what that one had.
import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import {
  HandOverService,
  type NodeSnapshot,
  NodeSnapshotSchema,
  type SucceedResponse,
} from '@odonata/proto/pmap/v1/handover';
import { delay } from '@odonata/rpc/backoff.ts';
import { createClient } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { isListening } from '@odonata/rpc/server.ts';
import { DescriptorDoor } from '@odonata/userfault/descriptor-door.ts';
import type { PmapdConfig } from '../config.ts';
import { FORM } from './snapshot.ts';

/** Where the present pmap manager answers the next one: unix:/path. */
export const handOverAddress = (socketDir: string): string => `unix:${join(socketDir, 'handover.sock')}`;

/** How long the other one may take to end when it has handed over. */
const GONE_MS = 10_000;

const DOOR_PREFIX = 'next-';

/** What the other pmap manager left. */
export interface Inheritance {
  snapshot: NodeSnapshot;
  /** @throws Error where nothing was handed over under a token */
  claim(token: Uint8Array): number;
  /** Says that everything is here. Resolves when the other one is gone. */
  take(): Promise<void>;
}

export interface SuccessorOptions {
  config: Pick<PmapdConfig, 'node' | 'shards' | 'socketDir' | 'takeOver'>;
  log: Logger;
  stopping: AbortSignal;
  /** The other one runs and knows of this one; until it stops there is nothing to do. */
  onStandingBy(): void;
}

/**
 * Waits for the pmap manager that runs on this node, if there is one, to hand over.
 * @returns undefined: there is none, or it ended without a word
 * @throws RpcError where it cannot be succeeded
 */
export async function succeed(options: SuccessorOptions): Promise<Inheritance | undefined> {
  const { config, log, stopping } = options;
  const address = handOverAddress(config.socketDir);
  if (!(await isListening(address))) return undefined;
  // One of its own: who is refused must not be in the way of who stands by.
  const doorSocket = join(config.socketDir, `${DOOR_PREFIX}${randomBytes(2).toString('hex')}.sock`);
  const door = new DescriptorDoor(doorSocket);
  const client = createClient(HandOverService, address);
  const { promise: taken, resolve: take } = Promise.withResolvers<void>();
  async function* requests() {
    const { node, shards, takeOver: atOnce } = config;
    const value = { node, shards, form: FORM, door: doorSocket, atOnce };
    yield { event: { case: 'hello' as const, value } };
    await taken;
    yield { event: { case: 'taken' as const, value: {} } };
  }
  const over = () => {
    door.close();
    client.close();
  };
  try {
    const responses = client.succeed(requests(), { signal: stopping })[Symbol.asyncIterator]();
    const snapshot = await receive(responses, options);
    return {
      snapshot,
      claim(token) {
        const fd = door.claim(token);
        if (fd === undefined) throw new Error('bug: a userfaultfd of the snapshot was not handed over');
        return fd;
      },
      async take() {
        take();
        const late = delay(GONE_MS).then(() => {
          throw new Error(`the other pmap manager has handed over, and has not ended within ${GONE_MS} ms`);
        });
        // Its process ends, and the stream with it, however.
        await Promise.race([responses.next().catch(() => {}), late]);
        over();
      },
    };
  } catch (error) {
    over();
    take();
    if (RpcError.is(error) && error.code === Code.Unavailable) {
      log.warn({ err: error }, 'the other pmap manager ended, and handed nothing over');
      return undefined;
    }
    throw error;
  }
}

async function receive(
  responses: AsyncIterator<SucceedResponse>,
  { onStandingBy }: SuccessorOptions,
): Promise<NodeSnapshot> {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const { value, done } = await responses.next();
    if (done) throw new RpcError(Code.Unavailable, 'the other pmap manager ended the stream');
    const { event } = value as SucceedResponse;
    if (event.case === 'standingBy') onStandingBy();
    else if (event.case === 'piece') pieces.push(event.value);
    else if (event.case === 'end') {
      const bytes = Buffer.concat(pieces);
      if (BigInt(bytes.length) !== event.value.sizeBytes) throw new Error('bug: the snapshot is not whole');
      return fromBinary(NodeSnapshotSchema, bytes);
    }
  }
}

/** Removes the doors of those that were killed while they stood by. Nobody may stand by now. */
export function clearDoors(socketDir: string): void {
  for (const name of readdirSync(socketDir))
    if (name.startsWith(DOOR_PREFIX)) rmSync(join(socketDir, name), { force: true });
}
