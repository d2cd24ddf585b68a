// What a program that uses a cluster imports: `import { connect } from '@odonata/client'`.
export { Code, RpcError } from '@odonata/rpc/error.ts';
export { type ClientReason, type ClientReasons, clientReason } from './client-error.ts';
export { Cluster, type ConnectOptions, connect } from './cluster.ts';
export type { Connection, Node } from './connection.ts';
export type { Credential } from './credential.ts';
export type { DataspaceDetail } from './dataspace-detail.ts';
export type { ByteRange, Dataspaces, Load, Loaded, Owning, Through } from './dataspaces.ts';
export type { EventFilter, EventList, Events } from './events.ts';
export type { Where } from './location.ts';
export type { OpenOptions } from './memory/memory.ts';
export type { HeldLock, LockOptions, OpenDataspace, WaitEnd } from './memory/open-dataspace.ts';
export type { Place } from './placement.ts';
export type { ProcessList, Silent, VmspaceList } from './process-list.ts';
export type { LogOptions, LogPiece } from './process-log.ts';
export type { WatchOptions } from './process-watch.ts';
export type { Collected, Exit, Input, Program, ProgramIo, Signal } from './program.ts';
export type { Grant, ProgramOptions, Programs } from './programs.ts';
