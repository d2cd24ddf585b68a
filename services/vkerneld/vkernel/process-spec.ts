// What a process is made of, what it needs around it, and what it tells.
import type { Pmap } from '@odonata/pmap/pmap-interface.ts';
import type { CompiledProgram } from './compiled-programs.ts';
import type { Connected, ConnectionRequest } from './connections-asked.ts';
import type { HeldDescriptor } from './held-descriptors.ts';
import type { MountTable } from './mounts/process-files.ts';
import type { FoldersAsked } from './mounts/remote/folders-asked.ts';
import type { Seat } from './parked/seats.ts';
import type { ProcessesAsked } from './processes-asked.ts';
import type { RemoteStreams } from './remote-streams.ts';
import type { StandardInput } from './standard-input.ts';
import type { WarmWorkers } from './warm-workers.ts';
import type { DirectoryGrant, Listener } from './wasi/directory-calls.ts';
import type { Word } from './wasi/system.ts';

export interface ProcessSpec {
  readonly pid: bigint;
  readonly name: string;
  readonly module: Uint8Array<ArrayBuffer>;
  /** In the place of a module: it was compiled before. */
  readonly compiled?: CompiledProgram | undefined;
  readonly args: readonly Word[];
  readonly env: readonly Word[];
  /** Which standard streams are a terminal, by number; missing: none. */
  readonly terminals?: readonly boolean[];
  /** Their descriptors are the process's from now on, which closes them when it ended. */
  readonly grants: readonly DirectoryGrant[];
  /** Folders on other nodes; missing: none. */
  readonly remotes?: readonly RemoteGrant[];
  /** The same as of grants; missing: none. */
  readonly listeners?: readonly Listener[];
  /** It sees its grants alone, and no mounts of the virtual kernel. */
  readonly bare?: boolean;
  readonly quotaBytes: number;
  /** Pipes, connections and files of its parent, which are its own, too. */
  readonly given?: readonly HeldDescriptor[];
  /** Its standard input is on another node. */
  readonly asksInput?: boolean;
  /** Where its standard streams lead, where that is to another process. */
  readonly relays?: Relays;
}

/** A folder on another node. */
export interface RemoteGrant {
  readonly guestPath: string;
  /** Its number among those of the process. */
  readonly place: number;
}

/** A process whose standard streams are another one's, too. */
export interface RelayingProcess {
  readonly pid: bigint;
  readonly output: { isClosed(stream: 1 | 2): boolean };
  readonly input: StandardInput;
  readonly relays: Relays;
  /** Output on its way to where that of this process goes. False: it is over, or nobody reads it. */
  relay(stream: 1 | 2, data: Uint8Array<ArrayBuffer>, taken: () => void): boolean;
}

export interface Relay {
  readonly process: RelayingProcess;
  readonly stream: 1 | 2;
}

export interface Relays {
  readonly input?: RelayingProcess | undefined;
  readonly output?: Relay | undefined;
  readonly error?: Relay | undefined;
}

export interface ProcessExit {
  readonly code: number;
  /** Empty when it ended by itself. */
  readonly signal: string;
  readonly reason: string;
  readonly stack: string;
}

/** What a process tells. `exited` is last, and comes once; where its thread takes its time, `ending` is before it. */
export interface ProcessEvents {
  started(): void;
  output(stream: 1 | 2, data: Uint8Array<ArrayBuffer>): void;
  inputTaken(bytes: number): void;
  /** It reads input of another node. */
  inputAsked(maxBytes: number): void;
  /** It stands still, or goes on. */
  stopped(isStopped: boolean, signal?: string): void;
  ending(exit: ProcessExit): void;
  exited(exit: ProcessExit): void;
  /** Something is wrong with this virtual kernel. */
  troubled(what: string, error?: unknown): void;
}

export interface ProcessSurroundings {
  readonly pmap: Promise<Pmap>;
  readonly workers: WarmWorkers;
  /** What all programs here may have together, and the place of this one among them; missing: any. */
  readonly limits?: {
    readonly memory: SharedArrayBuffer;
    readonly place: number;
    readonly numbers: SharedArrayBuffer;
  };
  /** Of further threads; missing: as many as one process may have. */
  readonly places?: { take(): boolean; give(): void };
  /** Its thread's; missing: there are any. */
  readonly seat?: Seat;
  readonly node: number;
  readonly nodeName: string;
  readonly vkernel: number;
  /** What every process sees beside its grants, but for /dev; missing: nothing. */
  readonly mounts?: (pid: bigint) => MountTable;
  /** Its folders on other nodes; missing: it has none. */
  readonly folders?: FoldersAsked;
  /** Connects to HOST:PORT; missing: there is no network. */
  readonly connect?: (request: ConnectionRequest) => Promise<Connected>;
  /** Children, signals, groups; missing: it has none of these. */
  readonly asked?: ProcessesAsked;
  /** A part of the module of a child that is to run elsewhere. */
  readonly sendPiece?: (data: Uint8Array) => void;
  /** Standard streams of children on other nodes. */
  readonly remote?: RemoteStreams;
  /** Less in tests. */
  readonly threadEndMs?: number | undefined;
}
