// A real node whose directory is only calls: every dataspace is one that this node made, so all pages of it are here.
import { mkdtempSync, openSync, rmSync } from 'node:fs';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Bus } from '@odonata/bus/bus.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import { type HandmadeSnapshot, HandmadeSnapshotSchema } from '@odonata/proto/pmap/v1/handover';
import type { VmspaceService } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { CallContext, Handlers } from '@odonata/rpc/service.ts';
import type { PmapdConfig } from '../../config.ts';
import { Node } from '../../node.ts';
import { vmspaceHandlers } from '../handlers.ts';
import { adoptAll, adoptChunks, chunksAhead, lastPart } from '../handmade/carry.ts';
import { type HandmadeOptions, HandmadeVmspaces } from '../handmade/handmade-table.ts';

const overTheWire = (part: MessageInitShape<typeof HandmadeSnapshotSchema>): HandmadeSnapshot =>
  fromBinary(HandmadeSnapshotSchema, toBinary(HandmadeSnapshotSchema, create(HandmadeSnapshotSchema, part)));

const log = createLog('test', 'fatal');

export type VmspaceHandlers = Required<Handlers<typeof VmspaceService>>;

export const personIs = (name: string, signal = new AbortController().signal): CallContext =>
  ({
    caller: { cluster: 'test', role: Role.USER, name, groups: [] },
    ...{ scope: 'own', requestId: 'r', log, peer: 'p', signal },
  }) as unknown as CallContext;

export class OneNode {
  readonly node: Node;
  calls: VmspaceHandlers;
  private readonly folder = mkdtempSync('/dev/shm/odonata-vmspaces-');
  private readonly ids = new Map<string, bigint>();
  private next: HandmadeVmspaces | undefined;
  private ahead: ReturnType<typeof chunksAhead> | undefined;
  private readonly mayWrite: (user: string) => boolean;

  /** @param mayWrite who may write a dataspace; all may read it */
  constructor(more: Partial<PmapdConfig> = {}, mayWrite: (user: string) => boolean = () => true) {
    this.mayWrite = mayWrite;
    const config = { node: 'node1', nodeIndex: 1, memoryDir: this.folder, framesBytes: 64 << 20, shards: 4 };
    const bus = { follow: () => () => {} } as unknown as Bus;
    const about = { ...config, cluster: 'test', directory: ['x:1'], ...more };
    this.node = new Node(about as unknown as PmapdConfig, bus, log);
    const lines = { epochOf: () => 1n, usable: () => true };
    this.node.line.directories = {
      ...{ allUsable: true, connected: true, lines },
      ...{ interest: () => {}, say: () => {}, sendTo: () => {}, sendAll: () => {}, close: () => {} },
    } as never;
    Object.defineProperty(this.node.line, 'directory', { value: this.directory() });
    this.calls = vmspaceHandlers(this.node) as VmspaceHandlers;
  }

  private directory() {
    const answer = async ({
      name,
      requester,
      forWriting = false,
    }: {
      name: string;
      requester?: Requester;
      forWriting?: boolean;
    }) => {
      const write = requester === undefined || this.mayWrite(requester.user);
      if (forWriting && !write) throw new RpcError(Code.PermissionDenied, `may not write ${name}`);
      const id = this.ids.get(name) ?? BigInt(this.ids.size + 1);
      this.ids.set(name, id);
      const made = { creator: 'node1', creatorIncarnation: this.node.incarnation, durable: false };
      return {
        dataspace: { id, name, sizeBytes: 16_384n, ...made },
        allowed: { read: true, write },
        created: true,
      };
    };
    return { getDataspace: answer, createDataspace: answer };
  }

  /** All four pages of it are here. */
  async dataspace(name: string): Promise<void> {
    await this.node.openings.open(name, 16_384n);
  }

  /** Another table goes on with the vmspaces made by hand, in two steps: what is between them changes what was copied. */
  beginMove(chunks: number): void {
    const { o } = this.node.handmade as unknown as { o: HandmadeOptions };
    this.next ??= new HandmadeVmspaces(o);
    this.ahead ??= chunksAhead(this.node.handmade);
    for (let i = 0; i < chunks; i++) {
      const { value, done } = this.ahead.next();
      if (done === true || value === undefined) return;
      adoptChunks(this.next, overTheWire(value));
    }
  }

  /** After the last part nobody goes on but the first one. */
  giveUpMove(): void {
    const { handmade } = this.node;
    handmade.freeze();
    lastPart(handmade);
    handmade.thaw();
    this.next?.letGo();
    [this.next, this.ahead] = [undefined, undefined];
  }

  /** @param known dataspaces that there are still */
  endMove(known: (id: bigint) => boolean = () => true): void {
    const { node, next } = this;
    if (next === undefined) return;
    const old = node.handmade;
    old.freeze();
    const { file } = old.arena;
    const last = lastPart(old, file === undefined ? undefined : new Uint8Array(16));
    node.frames.giveBack(old.privatePages);
    const dataspace = (id: bigint) => (known(id) ? node.memory.get(id) : undefined);
    adoptAll(next, overTheWire(last), {
      ...{ dataspace, nowMs: monotonicMs() },
      claim: () => openSync(`/proc/self/fd/${file}`, 'r+'),
    });
    old.letGo();
    Object.defineProperty(node, 'handmade', { value: next });
    this.calls = vmspaceHandlers(node) as VmspaceHandlers;
    [this.next, this.ahead] = [undefined, undefined];
  }

  close(): void {
    this.next?.letGo();
    this.node.close();
    rmSync(this.folder, { recursive: true });
  }
}
