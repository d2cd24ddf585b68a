// Children of processes: in the virtual kernel of their parent, or in the one of the same name and user on another node. A child
// has no more than its parent: not its memory, not its directories, not where it may connect to.
import { randomBytes } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { CHILDREN_MAX } from '@odonata/processes/home.ts';
import type { SpawnRequest, SpawnRequestSchema, SpawnResponseSchema } from '@odonata/proto/vkernel/v1/peer';
import type { SpawnChild } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { AllowedDirectories } from '../allowed-directories.ts';
import { closeGrants, type OpenGrant } from '../allowed-directories.ts';
import type { AllowedListeners } from '../allowed-listeners.ts';
import { beginProcess } from '../begin-process.ts';
import { foldersForChild, foldersOf } from '../granted-folders.ts';
import type { Homes } from '../homes.ts';
import { launch } from '../launch.ts';
import type { Process, ProcessTable } from '../process-table.ts';
import { MODULE_BYTES } from '../program-spec.ts';
import { Terminal } from '../terminal.ts';
import type { Terminals } from '../terminals.ts';
import { quotaOf } from '../vkernel/default-quota.ts';
import { THREADS_MAX } from '../vkernel/most-processes.ts';
import { Errno, WasiError } from '../vkernel/wasi/errno.ts';
import { nameOfKey, type VkernelChild } from '../vkernel-child.ts';
import type { VkernelUses } from '../vkernel-uses.ts';
import type { Vkernels } from '../vkernels.ts';
import { ChildStreams } from './child-streams.ts';
import type { Peer } from './peers.ts';
import type { Placing } from './placing.ts';
import type { Relatives } from './relatives.ts';
import { RemoteChild } from './remote-child.ts';
import { Strays } from './strays.ts';

const PIECE_BYTES = 1 << 20;
/** Modules of children that are on their way to other nodes, of all processes here. */
const PIECES_BYTES = MODULE_BYTES;

type Spawned = MessageInitShape<typeof SpawnResponseSchema>;

export interface SpawnPlace {
  readonly node: string;
  readonly programMemory: number;
  readonly table: ProcessTable;
  readonly vkernels: Vkernels;
  readonly directories: AllowedDirectories;
  readonly listeners: AllowedListeners;
  readonly relatives: Relatives;
  readonly placing: Placing;
  readonly uses: VkernelUses;
  readonly homes?: Homes | undefined;
  readonly terminals: Terminals<Terminal>;
}

export class Spawns {
  readonly #place: SpawnPlace;
  readonly #pieces = new Map<bigint, Uint8Array[]>();
  #pieceBytes = 0;
  /** Children of processes on other nodes, whose streams are there. */
  readonly #asking = new Map<bigint, RemoteChild>();
  readonly #strays: Strays;
  /** Standard streams of children on other nodes. */
  readonly streams: ChildStreams;

  constructor(place: SpawnPlace) {
    this.#place = place;
    this.streams = new ChildStreams(place.vkernels);
    this.#strays = new Strays(place);
    place.vkernels.onInputAsked = ({ pid }, asked) => this.#asking.get(pid)?.asked(asked);
    place.vkernels.onModulePiece = ({ pid }, data) => this.#keepPiece(pid, data);
  }

  /** For a process here. Undefined: the start that its virtual kernel gets is the answer. @throws RpcError, WasiError */
  async spawn(
    child: VkernelChild,
    parent: Process,
    number: number,
    asked: SpawnChild,
  ): Promise<{ process: bigint } | undefined> {
    const module = this.#takePieces(parent.pid);
    const { user, groups } = child.record;
    const peer = await this.#place.placing.choose(parent, asked, { user, groups });
    if (peer !== undefined)
      return { process: await this.#elsewhere(child, parent, peer, asked, { module, number }) };
    this.#here(child, parent, number, asked);
    return undefined;
  }

  /** For a process of another node. @throws RpcError */
  async *serve(requests: AsyncIterable<SpawnRequest>, ctx: CallContext): AsyncGenerator<Spawned> {
    const { node, table, vkernels, listeners } = this.#place;
    const iterator = requests[Symbol.asyncIterator]();
    const first = await iterator.next();
    if (first.done || first.value.event.case !== 'start')
      throw new RpcError(Code.InvalidArgument, 'the first request must say who the child is');
    const { asker, parent, token, group, session, program, streams } = first.value.event.value;
    const module: Uint8Array[] = [];
    let bytes = 0;
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      if (next.value.event.case === 'moduleEnd') break;
      if (next.value.event.case !== 'module')
        throw new RpcError(Code.InvalidArgument, 'a module was to follow');
      module.push(next.value.event.value);
      bytes += next.value.event.value.length;
      if (bytes > MODULE_BYTES) throw new RpcError(Code.ResourceExhausted, 'the module is too large');
    }
    const { user, vkernel: name, groups } = asker!;
    const vkernel = await vkernels.demand(name, { user, groups }, ctx.signal);
    expectRoom(table, vkernel, node);
    // Its pmap manager may be another one than the one that was told last.
    if (vkernels.quotas.has(vkernel.key)) await this.#place.uses.look();
    const folders = foldersOf(program!, { node, user });
    const homes = program!.bare ? undefined : this.#place.homes;
    const { grants, dirs } = await this.#grants(vkernel, folders, homes);
    let started: { pid: bigint; terminal: Terminal | undefined };
    try {
      ctx.signal.throwIfAborted();
      const quotaBytes = Math.min(quotaOf(program!.memoryBytes), this.#place.programMemory);
      const process = beginProcess(this.#place, vkernel, program!, {
        ...{ quotaBytes, connect: program!.connect, dirs },
        relate: (one) => this.#relateAfar(one, { parent, token, group, session }),
      });
      const { pid } = process;
      const place = { node, vkernels, terminals: this.#place.terminals };
      const how = { detach: true, terminal: '', moduleSha256: new Uint8Array() };
      const terminal = streams ? new Terminal(place, process, how) : undefined;
      terminal?.callerIs(ctx);
      ctx.log.info({ pid, parent: String(parent), vkernel: vkernel.key }, 'starting a child of another node');
      const { name: shown, args, env, rawArgs, rawEnv, bare, terminalStreams } = program!;
      const words = { name: shown, args, env, rawArgs, rawEnv, bare, terminalStreams };
      launch({ table, listeners }, vkernel, {
        ...{ process, module, grants, listen: [], requestId: ctx.requestId, asksInput: streams },
        program: { ...words, memoryBytes: BigInt(quotaBytes) },
      });
      if (terminal === undefined) vkernels.tell(process, { case: 'input', value: { pid, end: true } });
      started = { pid, terminal };
    } finally {
      closeGrants(grants);
    }
    const { pid, terminal } = started;
    yield { event: { case: 'pid', value: pid }, asksInput: vkernel.asksInput };
    if (terminal === undefined) return;
    const line = new RemoteChild({ vkernels, process: table.get(pid, node) });
    this.#asking.set(pid, line);
    try {
      yield* line.serve(terminal.serve(line.inputOf(iterator), ctx));
    } finally {
      this.#asking.delete(pid);
      const process = table.find(pid);
      const { input = false, output = false, error = false } = program!.terminalStreams ?? {};
      if (process !== undefined) this.#strays.add(process, input || output || error);
    }
  }

  /** @throws RpcError ABORTED: its parent is over, or wants it no more */
  #relateAfar(
    process: Process,
    about: { parent: bigint; token: bigint; group: bigint; session: bigint },
  ): void {
    const { relatives, table } = this.#place;
    const { pid } = process;
    if (relatives.home.begin(pid, about)) {
      relatives.changed([]);
      return;
    }
    relatives.began(process);
    const reason = 'nobody waits for it any more';
    table.exited(pid, { code: 137, signal: 'SIGKILL', reason, stack: '' });
    throw new RpcError(Code.Aborted, 'the spawn was revoked');
  }

  #here(child: VkernelChild, parent: Process, number: number, { program, group }: SpawnChild): void {
    const { table, relatives, vkernels, node } = this.#place;
    const own = relatives.home.find(parent.pid);
    if (own === undefined || parent.exit !== undefined) throw new WasiError(Errno.srch);
    if (relatives.home.childrenOf(parent.pid) >= CHILDREN_MAX) throw new WasiError(Errno.again);
    expectRoom(table, child, node);
    const { connect, dirs } = parent;
    const process = beginProcess(this.#place, child, program!, {
      ...{ quotaBytes: quotaBeneath(parent, program!), connect, dirs },
      relate: ({ pid }) => {
        relatives.home.begin(pid, { parent: parent.pid, group: group ?? own.group, session: own.session });
        relatives.changed([]);
      },
    });
    const { pid } = process;
    const given = { name: program!.name, memoryBytes: BigInt(process.quotaBytes) };
    vkernels.tell(process, { case: 'start', value: { pid, program: given, parent: parent.pid, number } });
  }

  async #elsewhere(
    child: VkernelChild,
    parent: Process,
    peer: Peer,
    { program, group, streams }: SpawnChild,
    { module, number }: { module: readonly Uint8Array[]; number: number },
  ): Promise<bigint> {
    const { relatives } = this.#place;
    const { home } = relatives;
    const own = home.find(parent.pid);
    const token = randomBytes(8).readBigUInt64LE();
    if (own === undefined || !home.spawning(parent.pid, token, peer.index, group ?? own.group))
      throw new WasiError(Errno.again);
    relatives.changed([]);
    const { user, groups } = child.record;
    const asker = { node: home.node, user, vkernel: nameOfKey(parent.vkernel), groups };
    const words = { name: program!.name, args: program!.args, env: program!.env };
    const given = {
      ...{ ...words, rawArgs: program!.rawArgs, rawEnv: program!.rawEnv, connect: [...parent.connect] },
      ...{ bare: program!.bare, terminalStreams: program!.terminalStreams },
      ...foldersForChild(parent.dirs, this.#place.node, this.#place.homes !== undefined && !program!.bare),
      memoryBytes: BigInt(quotaBeneath(parent, program!)),
    };
    const start = {
      asker,
      parent: parent.pid,
      token,
      group: group ?? own.group,
      session: own.session,
      program: given,
      streams,
    };
    const line = this.streams.open(parent, number, token, streams);
    try {
      const pid = await line.started(
        peer.client.spawn(requestsOf(start, module, line.requests()), {
          signal: line.signal,
          lasting: 'with-caller',
        }),
      );
      const isWanted = home.spawned(token, pid);
      relatives.changed([]);
      if (isWanted) return pid;
      line.close();
      throw new RpcError(Code.Aborted, 'the spawn was revoked');
    } catch (error) {
      line.close();
      const refused = RpcError.is(error) && REFUSALS.has(error.code);
      relatives.changed(refused ? home.unspawned(token) : home.doubted(token));
      throw error;
    }
  }

  /** Those of this node that it allows, and the home of its person. */
  async #grants(vkernel: VkernelChild, dirs: Process['dirs'], homes: Homes | undefined) {
    const idMapping = dirs.length > 0 || homes !== undefined ? await vkernel.idMapping() : undefined;
    const grants: OpenGrant[] = [];
    const allowed: Process['dirs'][number][] = [];
    for (const each of dirs) {
      if (each.node !== undefined) {
        allowed.push(each);
        continue;
      }
      const { hostPath, guestPath, readOnly } = each;
      const dir = { hostPath, guestPath, readOnly, hidden: [] };
      try {
        grants.push(...this.#place.directories.open([dir as never], idMapping));
        allowed.push({ hostPath, guestPath, readOnly });
      } catch (error) {
        if (RpcError.is(error)) continue;
        closeGrants(grants);
        throw error;
      }
    }
    try {
      grants.push(...(homes?.open(vkernel.user, allowed, idMapping) ?? []));
    } catch (error) {
      closeGrants(grants);
      throw error;
    }
    return { grants, dirs: allowed };
  }

  #keepPiece(pid: bigint, data: Uint8Array): void {
    if (this.#pieceBytes + data.length > PIECES_BYTES) return;
    this.#pieceBytes += data.length;
    const pieces = this.#pieces.get(pid) ?? [];
    this.#pieces.set(pid, pieces);
    pieces.push(data.slice());
  }

  #takePieces(pid: bigint): Uint8Array[] {
    const pieces = this.#pieces.get(pid) ?? [];
    this.#pieces.delete(pid);
    for (const { length } of pieces) this.#pieceBytes -= length;
    return pieces;
  }
}

/** That node says so itself, and has nothing. */
const REFUSALS: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.ResourceExhausted,
  Code.PermissionDenied,
]);

function expectRoom(table: ProcessTable, vkernel: VkernelChild, node: string): void {
  if (table.running(vkernel.key).filter(({ isParked }) => !isParked).length < THREADS_MAX) return;
  throw tryAgain(
    Code.ResourceExhausted,
    `virtual kernel ${vkernel.name} on ${node} runs ${THREADS_MAX} processes, the most that one runs`,
  );
}

function quotaBeneath(parent: Process, { memoryBytes }: { memoryBytes: bigint }): number {
  return memoryBytes === 0n ? parent.quotaBytes : Math.min(Number(memoryBytes), parent.quotaBytes);
}

async function* requestsOf(
  start: NonNullable<MessageInitShape<typeof SpawnRequestSchema>['event']>['value'],
  module: readonly Uint8Array[],
  streams: AsyncIterable<NonNullable<MessageInitShape<typeof SpawnRequestSchema>['event']>>,
): AsyncGenerator<MessageInitShape<typeof SpawnRequestSchema>> {
  yield { event: { case: 'start', value: start as never } };
  for (const piece of module)
    for (let at = 0; at < piece.length; at += PIECE_BYTES)
      yield { event: { case: 'module', value: piece.subarray(at, at + PIECE_BYTES) } };
  yield { event: { case: 'moduleEnd', value: {} } };
  for await (const event of streams) yield { event };
}
