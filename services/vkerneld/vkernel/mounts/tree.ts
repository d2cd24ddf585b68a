// What a mount of the virtual kernel is: a tree of nodes, which lives in the main thread, and which all processes see. Names and paths
// have one character a byte. What fails throws WasiError.

import { type Filestat, Filetype } from '../wasi/abi.ts';
import { Errno, WasiError } from '../wasi/errno.ts';
import type { ListedName } from '../wasi/mounts/file-request.ts';

export type Maybe<T> = T | Promise<T>;

export interface TimesToSet {
  /** Undefined: leave it. */
  readonly atimNs: bigint | undefined;
  readonly mtimNs: bigint | undefined;
}

interface Noded {
  readonly filetype: number;
  stat(): Maybe<Filestat>;
  setTimes(times: TimesToSet): Maybe<void>;
}

export interface Folder extends Noded {
  readonly filetype: typeof Filetype.directory;
  lookup(name: string): Maybe<TreeNode | undefined>;
  /** Without "." and "..". */
  list(): Maybe<ListedName[]>;
  /** Each of these is sure of what it finds; EEXIST, ENOENT and the like are thrown. */
  create(name: string): Maybe<FileNode>;
  mkdir(name: string): Maybe<void>;
  symlink(name: string, target: string): Maybe<void>;
  link(name: string, node: TreeNode): Maybe<void>;
  unlink(name: string): Maybe<void>;
  rmdir(name: string): Maybe<void>;
  rename(name: string, to: Folder, toName: string): Maybe<void>;
}

export interface FileNode extends Noded {
  readonly filetype: typeof Filetype.regularFile;
  open(how: OpenHow): Maybe<OpenedFile>;
}

export interface LinkNode extends Noded {
  readonly filetype: typeof Filetype.symbolicLink;
  readonly target: string;
}

export type TreeNode = Folder | FileNode | LinkNode;

export interface OpenHow {
  readonly reads: boolean;
  readonly writes: boolean;
  readonly truncates: boolean;
}

export interface Written {
  readonly written: number;
  /** After what was written. */
  readonly endBytes: number;
}

export interface OpenedFile {
  stat(): Maybe<Filestat>;
  setTimes(times: TimesToSet): Maybe<void>;
  /** Fewer at the end of the file. */
  read(offset: number, lengthBytes: number): Maybe<Uint8Array>;
  /** Undefined: at the end. Fewer than all where there is no room for more; ENOSPC where there is none. */
  write(offset: number | undefined, bytes: Uint8Array): Maybe<Written>;
  setSize(sizeBytes: number): Maybe<void>;
  /** As posix_fallocate(3). */
  allocate(endBytes: number): Maybe<void>;
  sync(): Maybe<void>;
  close(): Maybe<void>;
}

export const isFolder = (node: TreeNode): node is Folder => node.filetype === Filetype.directory;
export const isLink = (node: TreeNode): node is LinkNode => node.filetype === Filetype.symbolicLink;

export function fail(errno: number): never {
  throw new WasiError(errno);
}

/** A folder that nobody changes by calls. */
export abstract class FixedFolder implements Folder {
  readonly filetype = Filetype.directory;
  abstract stat(): Maybe<Filestat>;
  abstract lookup(name: string): Maybe<TreeNode | undefined>;
  abstract list(): Maybe<ListedName[]>;
  setTimes(_times: TimesToSet): void {
    fail(Errno.rofs);
  }
  create(_name: string): Maybe<FileNode> {
    return fail(Errno.rofs);
  }
  mkdir(_name: string): void {
    fail(Errno.rofs);
  }
  symlink(_name: string, _target: string): void {
    fail(Errno.rofs);
  }
  link(_name: string, _node: TreeNode): void {
    fail(Errno.rofs);
  }
  unlink(_name: string): Maybe<void> {
    fail(Errno.rofs);
  }
  rmdir(_name: string): void {
    fail(Errno.rofs);
  }
  rename(_name: string, _to: Folder, _toName: string): Maybe<void> {
    fail(Errno.rofs);
  }
}
