// The next pmap manager of a node: stands by while the present one runs, then goes on with what that one had.
import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  CopiedSchema,
  HandOverService,
  type NodeSnapshot,
  NodeSnapshotSchema,
  type SucceedRequestSchema,
  type SucceedResponse,
  TakenSchema,
} from '@odonata/proto/pmap/v1/handover';
import { createClient } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { BoundedQueue } from '@odonata/rpc/queue.ts';
import { isListening } from '@odonata/rpc/server.ts';
import { decoder } from '@odonata/rpc/service.ts';
import { agreeOnWire, wireSpoken } from '@odonata/rpc/wire-version.ts';
import { DescriptorDoor } from '@odonata/userfault/descriptor-door.ts';
import type { PmapdConfig } from '../config.ts';
import type { Node } from '../node.ts';
import { isFrozen } from './frozen-mark.ts';
import { Inheritor } from './inheritor.ts';
import { FORM } from './snapshot.ts';

/** Where the present pmap manager answers the next one: unix:/path. */
export const handOverAddress = (socketDir: string): string => `unix:${join(socketDir, 'handover.sock')}`;

const DOOR_PREFIX = 'next-';
const decodeSnapshot = decoder(NodeSnapshotSchema, { fieldsMax: Number.POSITIVE_INFINITY });

/** What the other pmap manager left. */
export interface Inheritance {
  node: Node;
  /** When its virtual kernels began to wait. */
  pausedAtMs: number;
  /** Says that everything is here. Then the other one lets go of the lock on the node, or goes on itself. */
  take(): void;
  /** The other one has gone. */
  close(): void;
  /** Once the other one is gone: true where this one is to go on, and may. */
  isOurs(): boolean;
}

export interface SuccessorOptions {
  config: Pick<PmapdConfig, 'node' | 'shards' | 'socketDir' | 'takeOver'>;
  log: Logger;
  stopping: AbortSignal;
  /** Of the other one's incarnation. */
  makeNode(incarnation: bigint): Node;
  /** The other one runs and knows of this one; until it stops there is nothing to do. */
  onStandingBy(): void;
}

/**
 * Waits for the pmap manager that runs on this node, if there is one, to hand over.
 * @returns undefined: there is none, or it ended without a word
 * @throws RpcError where it cannot be succeeded, or goes on itself
 */
export async function succeed(options: SuccessorOptions): Promise<Inheritance | undefined> {
  const { config, log, stopping, makeNode, onStandingBy } = options;
  const address = handOverAddress(config.socketDir);
  if (!(await isListening(address))) return undefined;
  // One of its own: who is refused must not be in the way of who stands by.
  const doorSocket = join(config.socketDir, `${DOOR_PREFIX}${randomBytes(2).toString('hex')}.sock`);
  const door = new DescriptorDoor(doorSocket, undefined, undefined, true);
  const client = createClient(HandOverService, address);
  const said = new BoundedQueue<MessageInitShape<typeof SucceedRequestSchema>['event']>({
    name: 'what is said to the other pmap manager',
    capacity: 2,
  });
  async function* requests() {
    const { node, shards, takeOver: atOnce } = config;
    const value = { node, shards, form: FORM, door: doorSocket, atOnce, ahead: true, wire: wireSpoken() };
    yield { event: { case: 'hello' as const, value } };
    for await (const event of said) yield { event };
  }
  const over = () => {
    said.close();
    door.close();
    client.close();
  };
  const claim = (token: Uint8Array): number => {
    const fd = door.claimDescriptor(token);
    if (fd === undefined) throw new Error('bug: a descriptor of the snapshot was not handed over');
    return fd;
  };
  let inheritor: Inheritor | undefined;
  const inherit = (incarnation: bigint) => {
    inheritor ??= new Inheritor(makeNode(incarnation), claim);
    return inheritor;
  };
  try {
    const responses = client.succeed(requests(), { signal: stopping });
    const events = responses[Symbol.asyncIterator]();
    const { snapshot, frozen } = await receive(events, {
      onStandingBy,
      onAhead: (part) => inherit(part.incarnation).copyAhead(part),
      async onAheadEnd() {
        await inheritor?.node.line.discover(stopping);
        said.offer({ case: 'copied', value: create(CopiedSchema) });
      },
    });
    const { node } = inherit(snapshot.incarnation);
    inheritor!.finish(snapshot);
    return {
      node,
      pausedAtMs: Number(snapshot.pausedAtMs),
      take: () => said.offer({ case: 'taken', value: create(TakenSchema) }),
      close: over,
      isOurs: () => frozen === '' || isFrozen(config.socketDir, frozen),
    };
  } catch (error) {
    over();
    if (RpcError.is(error) && error.code === Code.Unavailable) {
      log.warn({ err: error }, 'the other pmap manager ended, and handed nothing over');
      return undefined;
    }
    throw error;
  }
}

async function receive(
  responses: AsyncIterator<SucceedResponse>,
  on: Pick<SuccessorOptions, 'onStandingBy'> & {
    onAhead(part: NodeSnapshot): void;
    onAheadEnd(): Promise<void>;
  },
): Promise<{ snapshot: NodeSnapshot; frozen: string }> {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const { value, done } = await responses.next();
    if (done) throw new RpcError(Code.Unavailable, 'the other pmap manager ended the stream');
    const { event } = value as SucceedResponse;
    if (event.case === 'standingBy') {
      agreeOnWire('the pmapd that runs', event.value.wire, 'pmapd');
      on.onStandingBy();
    } else if (event.case === 'ahead') on.onAhead(event.value);
    else if (event.case === 'aheadEnd') await on.onAheadEnd();
    else if (event.case === 'piece') pieces.push(event.value);
    else if (event.case === 'end') {
      const bytes = Buffer.concat(pieces);
      if (BigInt(bytes.length) !== event.value.sizeBytes) throw new Error('bug: the snapshot is not whole');
      return { snapshot: decodeSnapshot(bytes), frozen: event.value.frozen };
    }
  }
}

/** Removes the doors of those that were killed while they stood by. Nobody may stand by now. */
export function clearDoors(socketDir: string): void {
  for (const name of readdirSync(socketDir))
    if (name.startsWith(DOOR_PREFIX)) rmSync(join(socketDir, name), { force: true });
}
