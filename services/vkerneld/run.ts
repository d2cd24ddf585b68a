import type { AttachTerminal, RunRequest } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { ownerOnly } from '@odonata/rpc/identity/access.ts';
import { personOf } from '@odonata/rpc/identity/identity.ts';
import { invalidField, notFound } from '@odonata/rpc/refusal.ts';
import type { SecurityEvents } from '@odonata/rpc/security-events.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import { BACKLOG_MAX } from '@odonata/userfault/named-sockets.ts';
import type { AllowedConnections } from './allowed-connections.ts';
import { type AllowedDirectories, closeGrants, type OpenGrant } from './allowed-directories.ts';
import { type AllowedListeners, LISTENERS_MAX } from './allowed-listeners.ts';
import { beginProcess } from './begin-process.ts';
import { foldersOf, localDirs } from './granted-folders.ts';
import type { Homes } from './homes.ts';
import { launch } from './launch.ts';
import type { NamedConnections } from './names/named-connections.ts';
import type { OpenNamed } from './names/named-listeners.ts';
import type { Response } from './output-backlog.ts';
import type { Dir, Process, ProcessTable } from './process-table.ts';
import type { Program } from './program-spec.ts';
import { nextEvent, readProgram } from './program-spec.ts';
import type { ProgramsThere } from './programs-there.ts';
import { Pty } from './pty/pty.ts';
import type { Ptys } from './pty/ptys.ts';
import type { FoldersElsewhere } from './relatives/folders-elsewhere.ts';
import type { Relatives } from './relatives/relatives.ts';
import { Terminal } from './terminal.ts';
import type { Terminals } from './terminals.ts';
import { spanOf, tracedProgram } from './traced-run.ts';
import { quotaOf } from './vkernel/default-quota.ts';
import { nameOfKey, type VkernelChild } from './vkernel-child.ts';
import type { VkernelOwner } from './vkernel-settings.ts';
import type { VkernelUses } from './vkernel-uses.ts';
import type { Vkernels } from './vkernels.ts';
import { DEFAULT_VKERNEL } from './vkernels.ts';

export interface RunPlace {
  readonly node: string;
  /** Bytes that a program may have. */
  readonly programMemory: number;
  readonly directories: AllowedDirectories;
  /** Missing: nobody has one. */
  readonly homes?: Homes | undefined;
  /** Folders on other nodes. */
  readonly elsewhere: FoldersElsewhere;
  readonly listeners: AllowedListeners;
  readonly connections: AllowedConnections;
  readonly security: SecurityEvents;
  readonly table: ProcessTable;
  readonly vkernels: Vkernels;
  readonly relatives: Relatives;
  readonly terminals: Terminals<Terminal>;
  readonly ptys: Ptys;
  readonly uses: VkernelUses;
  readonly named: NamedConnections;
  readonly programsThere: ProgramsThere;
  /** Whoever looked at the session of a process is gone. */
  readonly left: (process: Process) => void;
}

/**
 * The Run call: loads a program, starts it, and is its terminal until it ends or, detached, until the caller goes. Or it
 * goes on with the terminal of one whose stream broke.
 */
export async function* run(
  place: RunPlace,
  requests: AsyncIterable<RunRequest>,
  ctx: CallContext,
): AsyncGenerator<Response> {
  const iterator = requests[Symbol.asyncIterator]();
  const first = await nextEvent(iterator);
  if (first.case === 'resume') {
    const terminal = place.terminals.get(first.value.terminal);
    ownerOnly(ctx, terminal.user, `the terminal of process ${terminal.pid}`);
    yield* terminal.resume(iterator, first.value.outputTaken, ctx);
    return;
  }
  if (first.case === 'attach') {
    yield* attachedTo(place, first.value, ctx).serve(iterator, ctx, false);
    return;
  }
  const program = besideOf(place, fromFolder(await readProgram(first, iterator), place), ctx);
  let terminal: Terminal | Pty;
  let instance = '';
  let dirs: OpenGrant[] = [];
  let named: OpenNamed[] = [];
  try {
    const quotaBytes = quotaWithin(place, program);
    const { node } = place;
    const { user, groups } = ownerOf(ctx);
    const folders = foldersOf(program.spec, { node, user });
    const { terminal: name } = program.spec;
    if (name !== '') place.terminals.expectNew(name);
    // What is refused is refused before anything starts for it.
    closeGrants(directoriesOf(place, folders, ctx));
    expectSockets(place, program, ctx);
    const who = { user, groups: [...groups], vkernel: program.spec.vkernel || DEFAULT_VKERNEL };
    await place.elsewhere.expectOpen(who, folders);
    const vkernel = await spanOf(ctx, 'virtual kernel', () =>
      place.vkernels.demand(program.spec.vkernel || DEFAULT_VKERNEL, ownerOf(ctx), ctx.signal),
    );
    // Its pmap manager may be another one than the one that was told last.
    if (place.vkernels.quotas.has(vkernel.key)) await place.uses.look();
    instance = `${place.node}/${vkernel.key}`;
    if (await isWanted(place, program, vkernel, quotaBytes)) {
      yield { event: { case: 'moduleWanted', value: {} } };
      await program.readModule();
    }
    const homes = program.spec.bare ? undefined : place.homes;
    const idMapping = folders.length > 0 || homes !== undefined ? await vkernel.idMapping() : undefined;
    dirs = directoriesOf(place, folders, ctx, idMapping);
    dirs.push(...(homes?.open(user, folders, idMapping) ?? []));
    named = await openNamed(place, program, vkernel, ctx);
    ctx.signal.throwIfAborted();
    terminal = start(place, { ...program, quotaBytes, folders, named }, dirs, vkernel, ctx);
  } finally {
    program.release();
    for (const each of named) each.close();
    closeGrants(dirs);
  }
  const { detach } = program.spec;
  // Whoever starts one in the background types nothing, not even an end.
  const typed = detach && terminal instanceof Pty ? nothing() : iterator;
  yield* tracedProgram(ctx, terminal.serve(typed, ctx, !detach), instance);
}

/** It is named by its digest, and its module has to come. */
async function isWanted(
  { programsThere }: RunPlace,
  { spec, module }: Program,
  vkernel: VkernelChild,
  quotaBytes: number,
): Promise<boolean> {
  const isThere = spec.moduleSha256.length === 0 || module.some(({ length }) => length > 0);
  return !isThere && !(await programsThere.look(vkernel, spec.moduleSha256, quotaBytes));
}

async function* nothing(): AsyncGenerator<RunRequest> {}

/** The terminal of a process, for one more who looks. @throws RpcError */
function attachedTo(place: RunPlace, { pid, size }: AttachTerminal, ctx: CallContext): Pty {
  const { ptys, relatives, table, node } = place;
  table.runningOfTheirs(pid, node, ctx);
  const pty = ptys.of(relatives.home.find(pid)?.session ?? pid, `process ${pid} on ${node}`);
  if (size !== undefined) pty.resize(size);
  return pty;
}

/** What a program has of the process that it is to run beside. @throws RpcError */
function besideOf(place: RunPlace, program: Program, ctx: CallContext): Program {
  const { spec } = program;
  if (spec.beside === 0n) return program;
  try {
    const process = place.table.runningOfTheirs(spec.beside, place.node, ctx);
    if (process.user !== ownerOf(ctx).user)
      throw new RpcError(
        Code.PermissionDenied,
        `process ${spec.beside} on ${place.node} is in a virtual kernel of ${process.user}`,
      );
    const dirs = [...process.dirs.map((dir) => ({ ...dir, hidden: [] })), ...spec.dirs] as typeof spec.dirs;
    const connect = [...new Set([...process.connect, ...spec.connect])];
    return { ...program, spec: { ...spec, vkernel: nameOfKey(process.vkernel), dirs, connect } };
  } catch (error) {
    program.release();
    throw error;
  }
}

/** With the module of one of the node's own programs, where its caller names one. @throws RpcError NOT_FOUND, INVALID_ARGUMENT */
function fromFolder(program: Program, { homes, node }: RunPlace): Program {
  const { folderProgram } = program.spec;
  if (folderProgram === '') return program;
  try {
    if (homes?.programs === undefined)
      throw notFound({ type: 'program', name: folderProgram }, `${node} has no programs of its own`);
    return { ...program, module: [homes.programs.module(folderProgram)] };
  } catch (error) {
    program.release();
    throw error;
  }
}

/** @throws RpcError INVALID_ARGUMENT for more than a program may have */
function quotaWithin({ node, programMemory }: RunPlace, { spec }: Program): number {
  if (spec.memoryBytes <= BigInt(programMemory)) return Math.min(quotaOf(spec.memoryBytes), programMemory);
  throw invalidField(
    'start.memory_bytes',
    `a program on ${node} may have ${programMemory / 2 ** 20} MiB of memory at most, not ${Number(spec.memoryBytes) / 2 ** 20} MiB`,
  );
}

/** @throws RpcError; what is not allowed is told of */
function directoriesOf(
  place: RunPlace,
  folders: readonly Dir[],
  ctx: CallContext,
  idMapping?: Parameters<AllowedDirectories['open']>[1],
): OpenGrant[] {
  return tellingOf(place, ctx, { attempt: 'directory', asked: 'for a directory' }, () =>
    place.directories.open(localDirs(folders), idMapping),
  );
}

/** @throws RpcError; what is not allowed is told of */
function expectSockets(place: RunPlace, { spec }: Program, ctx: CallContext): void {
  if (spec.listen.length > LISTENERS_MAX)
    throw invalidField('start.listen', `${LISTENERS_MAX} listeners are the most of one program`);
  tellingOf(place, ctx, { attempt: 'listener', asked: 'to listen' }, () =>
    place.listeners.expectAllowed(spec.listen),
  );
  tellingOf(place, ctx, { attempt: 'connection', asked: 'to connect' }, () =>
    place.connections.expectAllowed(spec.connect),
  );
}

/** Lines of connections by the names that it listens by. @throws RpcError; what is not allowed is told of */
async function openNamed(
  place: RunPlace,
  { spec: { listenOn, forEveryone: everyone } }: Program,
  vkernel: VkernelChild,
  ctx: CallContext,
): Promise<OpenNamed[]> {
  const { user, groups } = ownerOf(ctx);
  const asker = { user, groups, key: vkernel.key, vkernel: nameOfKey(vkernel.key) };
  const told = { attempt: 'listener', asked: 'to listen' };
  for (const name of listenOn)
    tellingOf(place, ctx, told, () => place.named.expectAllowed(asker, 'listen', name));
  const opened: OpenNamed[] = [];
  try {
    for (const name of listenOn)
      opened.push(await place.named.listen(asker, { name, backlog: BACKLOG_MAX, everyone }));
    return opened;
  } catch (error) {
    for (const each of opened) each.close();
    throw error;
  }
}

/** Runs it; what is not allowed there is a security event, too. */
function tellingOf<T>(
  { security }: RunPlace,
  ctx: CallContext,
  { attempt, asked }: { attempt: string; asked: string },
  run: () => T,
): T {
  try {
    return run();
  } catch (error) {
    if (RpcError.is(error, Code.PermissionDenied)) {
      const { user } = ownerOf(ctx);
      security.refused(attempt, user, `${user} asked ${asked}: ${error.details}`, { user });
    }
    throw error;
  }
}

const ALL_TERMINAL = { input: true, output: true, error: true };

/** Whose the program is: of whoever asked for it. */
function ownerOf({ caller }: CallContext): VkernelOwner {
  return { user: personOf(caller) ?? caller.name, groups: caller.groups };
}

function start(
  place: RunPlace,
  program: Program & { quotaBytes: number; folders: readonly Dir[]; named: readonly OpenNamed[] },
  grants: readonly OpenGrant[],
  vkernel: VkernelChild,
  ctx: CallContext,
): Terminal | Pty {
  const { spec, module, quotaBytes, folders, named } = program;
  const has = { quotaBytes, connect: spec.connect, dirs: folders };
  const process = beginProcess(place, vkernel, spec, {
    ...has,
    relate: (one) => place.relatives.began(one),
  });
  const { pid } = process;
  const { terminalSize: size } = spec;
  const terminal = size === undefined ? new Terminal(place, process, spec) : place.ptys.make(process, size);
  if (terminal instanceof Terminal) terminal.callerIs(ctx);
  ctx.log.info({ pid, vkernel: vkernel.key, program: spec.name }, 'starting a process');
  const { name, args, env, rawArgs, rawEnv, listen, forEveryone, bare, beside } = spec;
  const terminalStreams = size === undefined ? spec.terminalStreams : ALL_TERMINAL;
  const words = { name, args, env, rawArgs, rawEnv };
  const memoryBytes = BigInt(quotaBytes);
  const { requestId } = ctx;
  launch(place, vkernel, {
    ...{ process, module, grants, listen, named, forEveryone, requestId, beside },
    program: { ...words, terminalStreams, memoryBytes, bare, moduleSha256: spec.moduleSha256 },
  });
  return terminal;
}
