// The last step of a start, however it was asked for: what a virtual kernel needs of a program goes to it.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ProgramSpecSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { OpenGrant } from './allowed-directories.ts';
import { type AllowedListeners, closeListeners } from './allowed-listeners.ts';
import type { OpenNamed } from './names/named-listeners.ts';
import type { Process, ProcessTable } from './process-table.ts';
import { remoteDirs } from './relatives/folders-elsewhere.ts';
import type { VkernelChild } from './vkernel-child.ts';

/** A module larger than this goes to the virtual kernel in pieces of this. */
const PIECE_BYTES = 8 * 1024 * 1024;

export interface Launch {
  readonly process: Process;
  /** Its words, and how much memory it may have. */
  readonly program: Omit<MessageInitShape<typeof ProgramSpecSchema>, '$typeName' | '$unknown'>;
  readonly module: readonly Uint8Array[];
  readonly grants: readonly OpenGrant[];
  readonly listen: readonly string[];
  /** Lines of connections by name. */
  readonly named?: readonly OpenNamed[];
  /** These are for all people. */
  readonly forEveryone?: boolean;
  readonly requestId: string;
  /** Its environment is this process', too. */
  readonly beside?: bigint;
  /** Its standard input is on another node. */
  readonly asksInput?: boolean;
}

/** @throws RpcError where the virtual kernel is away: then the process has ended */
export function launch(
  { table, listeners: allowed }: { table: ProcessTable; listeners: AllowedListeners },
  vkernel: VkernelChild,
  {
    process,
    program,
    module,
    grants,
    listen,
    named = [],
    forEveryone = false,
    requestId,
    beside = 0n,
    asksInput = false,
  }: Launch,
): void {
  const { pid } = process;
  try {
    const bytes = module.reduce((sum, piece) => sum + piece.length, 0);
    const whole = bytes <= PIECE_BYTES ? Buffer.concat(module) : undefined;
    if (whole === undefined)
      for (const data of module.flatMap((piece) => cut(piece, PIECE_BYTES)))
        vkernel.send({ case: 'modulePiece', value: { pid, data } });
    const listeners = allowed.open(listen, pid);
    try {
      vkernel.sendDirectories(
        pid,
        [...grants, ...listeners, ...named].map(({ fd }) => fd),
      );
      for (const each of named) each.belongsTo(pid);
    } finally {
      closeListeners(listeners);
    }
    const dirs = grants.map(({ guestPath, readOnly, hidden, counted = false }) => {
      return { guestPath, readOnly, hidden, counted };
    });
    const elsewhere = remoteDirs(process.dirs).map(({ node, guestPath, readOnly }, place) => {
      return { node, guestPath, readOnly, place };
    });
    const given = {
      forEveryone,
      module: whole ?? new Uint8Array(),
      dirs: [...dirs, ...elsewhere],
      listen: [...listeners.map(({ address }) => address), ...named.map(({ name }) => `/dev/name/${name}`)],
    };
    const about = { pid, requestId, beside, asksInput };
    vkernel.send({ case: 'start', value: { ...about, program: { ...program, ...given } } });
  } catch (error) {
    const notThere = RpcError.is(error, Code.FailedPrecondition) ? error.details : undefined;
    const reason = notThere ?? 'its virtual kernel went away';
    table.exited(pid, { code: 137, signal: 'SIGKILL', reason, stack: '' });
    throw error;
  }
}

function cut(bytes: Uint8Array, most: number): Uint8Array[] {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += most) pieces.push(bytes.subarray(at, at + most));
  return pieces;
}
