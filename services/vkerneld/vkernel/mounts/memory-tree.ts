// A file system in memory: folders, files and links of the virtual kernel's main thread, with the bytes of files in frames of the
// node's pmap manager. What is unlinked lives on while it is open. Every call is done at once, but for the wait for frames.
//
// Names and nodes themselves are no frames; all of them together are bounded.

import { type Filestat, Filetype } from '../wasi/abi.ts';
import { clockNs } from '../wasi/clock.ts';
import { Errno } from '../wasi/errno.ts';
import type { ListedName } from '../wasi/mounts/file-request.ts';
import type { FrameStore } from './frame-store.ts';
import { MemoryContents } from './memory-contents.ts';
import {
  type FileNode,
  type Folder,
  fail,
  type LinkNode,
  type OpenedFile,
  type OpenHow,
  type TimesToSet,
  type TreeNode,
  type Written,
} from './tree.ts';

/** What a node counts beside its name and its target. */
const NODE_BYTES = 512;
/** Of all nodes, names and targets. */
export const NODES_BYTES_MAX = 32 << 20;
const nlinkMax = 65_000;

export class MemoryTree {
  readonly root: MemoryFolder;
  readonly store: FrameStore;
  readonly dev: bigint;
  #nodesBytes = 0;
  #lastInode = 0n;
  readonly #files = new Set<MemoryFile>();

  constructor(store: FrameStore, dev: bigint) {
    this.store = store;
    this.dev = dev;
    this.root = new MemoryFolder(this, undefined);
  }

  nextInode(): bigint {
    return ++this.#lastInode;
  }

  /** @throws WasiError ENOSPC */
  charge(bytes: number): void {
    if (this.#nodesBytes + bytes > NODES_BYTES_MAX) fail(Errno.nospc);
    this.#nodesBytes += bytes;
  }

  uncharge(bytes: number): void {
    this.#nodesBytes -= bytes;
  }

  has(file: MemoryFile): void {
    this.#files.add(file);
  }

  hasNoMore(file: MemoryFile): void {
    this.#files.delete(file);
  }

  get isEmpty(): boolean {
    return this.#nodesBytes === 0;
  }

  /** The frames are lost: what files held is gone, and whoever reads or writes one hears that, until it is made empty. */
  lost(): void {
    for (const file of this.#files) file.contents.forget();
    this.store.forget();
  }
}

abstract class MemoryNode {
  abstract readonly filetype: number;
  readonly tree: MemoryTree;
  readonly ino: bigint;
  nlink = 1;
  atimNs: bigint;
  mtimNs: bigint;
  ctimNs: bigint;

  constructor(tree: MemoryTree) {
    this.tree = tree;
    this.ino = tree.nextInode();
    this.atimNs = this.mtimNs = this.ctimNs = clockNs(0);
  }

  protected abstract get sizeBytes(): number;

  stat(): Filestat {
    const { filetype, ino, atimNs, mtimNs, ctimNs } = this;
    const about = { dev: this.tree.dev, ino, filetype, nlink: BigInt(this.nlink) };
    return { ...about, size: BigInt(this.sizeBytes), atimNs, mtimNs, ctimNs };
  }

  setTimes({ atimNs, mtimNs }: TimesToSet): void {
    if (atimNs !== undefined) this.atimNs = atimNs;
    if (mtimNs !== undefined) this.mtimNs = mtimNs;
    this.ctimNs = clockNs(0);
  }

  changed(): void {
    this.mtimNs = this.ctimNs = clockNs(0);
  }

  /** A name of it is gone. */
  abstract unlinked(): void;
}

class MemoryFile extends MemoryNode implements FileNode {
  readonly filetype = Filetype.regularFile;
  readonly contents: MemoryContents;
  #opened = 0;

  constructor(tree: MemoryTree) {
    super(tree);
    tree.charge(NODE_BYTES);
    this.contents = new MemoryContents(tree.store);
    tree.has(this);
  }

  protected get sizeBytes(): number {
    return this.contents.sizeBytes;
  }

  open({ truncates }: OpenHow): OpenedFile {
    if (truncates) this.setSize(0);
    this.#opened++;
    return new OpenedMemoryFile(this);
  }

  closed(): void {
    this.#opened--;
    this.#goWhereNobodyHasIt();
  }

  setSize(sizeBytes: number): void {
    this.contents.setSize(sizeBytes);
    this.changed();
  }

  unlinked(): void {
    this.nlink--;
    this.ctimNs = clockNs(0);
    this.#goWhereNobodyHasIt();
  }

  #goWhereNobodyHasIt(): void {
    if (this.nlink > 0 || this.#opened > 0) return;
    this.contents.drop();
    this.tree.hasNoMore(this);
    this.tree.uncharge(NODE_BYTES);
  }
}

class OpenedMemoryFile implements OpenedFile {
  readonly #file: MemoryFile;

  constructor(file: MemoryFile) {
    this.#file = file;
  }

  stat(): Filestat {
    return this.#file.stat();
  }
  setTimes(times: TimesToSet): void {
    this.#file.setTimes(times);
  }
  read(offset: number, lengthBytes: number): Uint8Array {
    this.#file.atimNs = clockNs(0);
    return this.#file.contents.read(offset, lengthBytes);
  }
  async write(offset: number | undefined, bytes: Uint8Array): Promise<Written> {
    const written = await this.#file.contents.write(offset, bytes);
    this.#file.changed();
    return written;
  }
  setSize(sizeBytes: number): void {
    this.#file.setSize(sizeBytes);
  }
  async allocate(endBytes: number): Promise<void> {
    await this.#file.contents.allocate(endBytes);
    this.#file.changed();
  }
  sync(): void {}
  close(): void {
    this.#file.closed();
  }
}

class MemoryLink extends MemoryNode implements LinkNode {
  readonly filetype = Filetype.symbolicLink;
  readonly target: string;

  constructor(tree: MemoryTree, target: string) {
    super(tree);
    tree.charge(NODE_BYTES + target.length);
    this.target = target;
  }

  protected get sizeBytes(): number {
    return this.target.length;
  }

  unlinked(): void {
    this.nlink--;
    if (this.nlink === 0) this.tree.uncharge(NODE_BYTES + this.target.length);
  }
}

type AnyMemoryNode = MemoryFile | MemoryLink | MemoryFolder;

export class MemoryFolder extends MemoryNode implements Folder {
  readonly filetype = Filetype.directory;
  /** Undefined: the top, or removed. */
  #parent: MemoryFolder | undefined;
  #gone = false;
  readonly #entries = new Map<string, AnyMemoryNode>();

  constructor(tree: MemoryTree, parent: MemoryFolder | undefined) {
    super(tree);
    if (parent !== undefined) tree.charge(NODE_BYTES);
    this.#parent = parent;
    this.nlink = 2;
  }

  protected get sizeBytes(): number {
    return this.#entries.size;
  }

  lookup(name: string): TreeNode | undefined {
    return this.#entries.get(name);
  }

  list(): ListedName[] {
    return [...this.#entries].map(([name, { filetype, ino }]) => ({
      name: Buffer.from(name, 'latin1'),
      filetype,
      inode: ino,
    }));
  }

  create(name: string): FileNode {
    return this.#add(name, () => new MemoryFile(this.tree));
  }

  mkdir(name: string): void {
    this.#add(name, () => new MemoryFolder(this.tree, this));
    this.nlink++;
  }

  symlink(name: string, target: string): void {
    this.#add(name, () => new MemoryLink(this.tree, target));
  }

  link(name: string, node: TreeNode): void {
    if (!(node instanceof MemoryFile || node instanceof MemoryLink) || node.tree !== this.tree)
      fail(Errno.xdev);
    const linked = node as MemoryFile | MemoryLink;
    // Its last name is gone, and somebody has it open.
    if (linked.nlink === 0) fail(Errno.noent);
    if (linked.nlink >= nlinkMax) fail(Errno.mlink);
    this.#add(name, () => linked);
    linked.nlink++;
    linked.ctimNs = clockNs(0);
  }

  unlink(name: string): void {
    const node = this.#expect(name);
    if (node instanceof MemoryFolder) fail(Errno.isdir);
    this.#remove(name);
    node.unlinked();
  }

  rmdir(name: string): void {
    const node = this.#expect(name);
    if (!(node instanceof MemoryFolder)) fail(Errno.notdir);
    if (node.#entries.size > 0) fail(Errno.notempty);
    this.#remove(name);
    node.unlinked();
    this.nlink--;
  }

  rename(name: string, to: Folder, toName: string): void {
    const node = this.#expect(name);
    if (!(to instanceof MemoryFolder) || to.tree !== this.tree) fail(Errno.xdev);
    if (to.#gone) fail(Errno.noent);
    const there = to.#entries.get(toName);
    if (node instanceof MemoryFolder && to.#isBelow(node)) fail(Errno.inval);
    if (there instanceof MemoryFolder && this.#isBelow(there)) fail(Errno.notempty);
    if (there === node) return;
    if (node instanceof MemoryFolder) {
      if (there !== undefined && !(there instanceof MemoryFolder)) fail(Errno.notdir);
    } else if (there instanceof MemoryFolder) fail(Errno.isdir);
    if (there instanceof MemoryFolder && there.#entries.size > 0) fail(Errno.notempty);
    // The name is charged before anything is changed.
    if (there === undefined) this.tree.charge(toName.length);
    this.#remove(name);
    if (node instanceof MemoryFolder) {
      this.nlink--;
      to.nlink++;
      node.#parent = to;
    }
    if (there instanceof MemoryFolder) to.nlink--;
    to.#entries.delete(toName);
    to.#entries.set(toName, node);
    there?.unlinked();
    to.changed();
    node.ctimNs = clockNs(0);
  }

  unlinked(): void {
    this.#gone = true;
    this.#parent = undefined;
    this.nlink = 0;
    this.tree.uncharge(NODE_BYTES);
  }

  #isBelow(other: MemoryFolder): boolean {
    for (let above: MemoryFolder | undefined = this; above !== undefined; above = above.#parent)
      if (above === other) return true;
    return false;
  }

  #expect(name: string): AnyMemoryNode {
    return this.#entries.get(name) ?? fail(Errno.noent);
  }

  #add<Node extends AnyMemoryNode>(name: string, make: () => Node): Node {
    if (this.#gone) fail(Errno.noent);
    if (this.#entries.has(name)) fail(Errno.exist);
    this.tree.charge(name.length);
    let node: Node;
    try {
      node = make();
    } catch (error) {
      this.tree.uncharge(name.length);
      throw error;
    }
    this.#entries.set(name, node);
    this.changed();
    return node;
  }

  #remove(name: string): void {
    this.#entries.delete(name);
    this.tree.uncharge(name.length);
    this.changed();
  }
}
