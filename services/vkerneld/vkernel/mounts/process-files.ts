// The files that one process has open in mounts of the virtual kernel, and what its threads ask of them.

import { payloadBytesMax } from '../kernel-call.ts';
import { type Filestat, Filetype, Oflags } from '../wasi/abi.ts';
import { descriptorsMax } from '../wasi/descriptor-table.ts';
import { Errno, errnoOf, WasiError } from '../wasi/errno.ts';
import {
  type FileAt,
  type FilePath,
  type FileRequest,
  type ListedName,
  packNames,
  packStat,
} from '../wasi/mounts/file-request.ts';
import type { RemoteFolder } from './remote/remote-files.ts';
import { isOpenNode } from './remote/remote-files.ts';
import { isRemote, type RemoteOpened, serveRemotePath } from './remote/remote-paths.ts';
import {
  type FileNode,
  type Folder,
  fail,
  isFolder,
  isLink,
  type Maybe,
  type OpenedFile,
  type TimesToSet,
} from './tree.ts';
import { TreeLookup } from './tree-lookup.ts';

/** By name, from "/" on: `tmp`. */
export type MountTable = ReadonlyMap<string, Folder | RemoteFolder>;

type Open = { readonly folder: Folder | RemoteFolder; listing: ListedName[] } | LentFile;

/** An open file, which several processes may have. */
export interface LentFile {
  readonly node: FileNode;
  readonly file: OpenedFile;
  users: number;
}

const nothing = new Uint8Array(0);
/** Those that are closed, and in use by another thread, too. */
const openMax = descriptorsMax + 256;

type Request<Op extends FileRequest['op']> = Extract<FileRequest, { op: Op }>;

export class ProcessFiles {
  readonly #mounts: MountTable;
  readonly #open = new Map<number, Open>();
  #last = 0;
  #over = false;

  constructor(mounts: MountTable) {
    this.#mounts = mounts;
  }

  /** The names of those that the process sees. */
  get names(): string[] {
    return [...this.#mounts.keys()];
  }

  /** The payload of a success, or an errno. */
  async serve(request: FileRequest): Promise<Uint8Array | number> {
    try {
      return await this.#serve(request);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      return errno;
    }
  }

  /** The process is over. */
  async closeAll(): Promise<void> {
    this.#over = true;
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const each of open) await swallow(() => closed(each));
    for (const mount of this.#mounts.values()) if (isRemote(mount)) mount.mount.release();
  }

  /** For a child, which has it, too; whoever does not take it returns it. Undefined: it is not open, or no file. */
  lend(handle: number): LentFile | undefined {
    const open = this.#open.get(handle);
    if (open === undefined || !('file' in open)) return undefined;
    open.users++;
    return open;
  }

  /** What the parent lent is this process's. @returns its handle */
  take(lent: LentFile): number {
    this.#last++;
    this.#open.set(this.#last, lent);
    return this.#last;
  }

  async #serve(request: FileRequest): Promise<Uint8Array> {
    const remote = await serveRemotePath(request, (at) => this.#folderAt(at));
    if (remote !== undefined) return 'opened' in remote ? this.#addRemote(remote.opened) : remote.answer;
    switch (request.op) {
      case 'open':
        return this.#openPath(request);
      case 'reopen':
        return this.#reopen(request);
      case 'close': {
        const open = this.#of(request.handle);
        this.#open.delete(request.handle);
        await closed(open);
        return nothing;
      }
      case 'read':
        return this.#file(request).read(request.offset, Math.min(request.lengthBytes, payloadBytesMax));
      case 'write': {
        const { written, endBytes } = await this.#file(request).write(request.offset, request.bytes);
        return words(BigInt(written), BigInt(endBytes));
      }
      case 'set-size':
        return done(this.#file(request).setSize(request.sizeBytes));
      case 'allocate':
        return done(this.#file(request).allocate(request.endBytes));
      case 'sync': {
        const open = this.#of(request.handle);
        if ('file' in open) return done(open.file.sync());
        return done(isRemote(open.folder) ? open.folder.sync() : undefined);
      }
      case 'stat':
        return packStat(await this.#statOf(this.#of(request.handle)));
      case 'stat-path':
        return packStat(await (await (await this.#lookup(request)).found(request.follow)).stat());
      case 'set-times': {
        const open = this.#of(request.handle);
        return done(('file' in open ? open.file : open.folder).setTimes(timesOf(request)));
      }
      case 'set-times-path': {
        const node = await (await this.#lookup(request)).found(request.follow);
        return done(node.setTimes(timesOf(request)));
      }
      case 'list':
        return this.#list(request);
      case 'mkdir': {
        const lookup = await this.#lookup(request);
        if (lookup.isFolderItself) fail(Errno.exist);
        return done(lookup.folder.mkdir(lookup.name));
      }
      case 'rmdir': {
        const lookup = await this.#lookup(request);
        if (lookup.isFolderItself) fail(lookup.endsInParent ? Errno.notempty : Errno.inval);
        return done(lookup.folder.rmdir(lookup.name));
      }
      case 'unlink': {
        const lookup = await this.#lookup(request);
        if (lookup.isFolderItself) fail(Errno.isdir);
        await expectFolderWhereNamedSo(lookup);
        return done(lookup.folder.unlink(lookup.name));
      }
      case 'rename':
        return this.#rename(request);
      case 'link':
        return this.#link(request);
      case 'symlink': {
        const lookup = await this.#lookup(request);
        await lookup.expectNothingThere();
        return done(lookup.folder.symlink(lookup.name, request.target));
      }
      case 'readlink': {
        const lookup = await this.#lookup(request);
        // A slash goes through the link: what is behind it is a directory, or the error.
        const node = await lookup.found(false);
        return Buffer.from(isLink(node) ? node.target : fail(Errno.inval), 'latin1');
      }
    }
  }

  async #openPath(request: Request<'open'>): Promise<Uint8Array> {
    const { oflags, reads, writes } = request;
    const creates = (oflags & Oflags.creat) !== 0;
    const exclusive = creates && (oflags & Oflags.excl) !== 0;
    const wantsFolder = (oflags & Oflags.directory) !== 0;
    const truncates = (oflags & Oflags.trunc) !== 0;
    this.#expectRoom();
    const lookup = await this.#lookup(request);
    for (;;) {
      if (lookup.isFolderItself && creates) fail(exclusive ? Errno.exist : Errno.isdir);
      if (lookup.mustBeFolder && creates) fail(Errno.isdir);
      let node = await lookup.node();
      if (node === undefined) {
        if (!creates) fail(Errno.noent);
        node = await lookup.folder.create(lookup.name);
      } else if (exclusive) fail(Errno.exist);
      if (isLink(node!)) {
        if (!request.follow && !lookup.mustBeFolder) fail(Errno.loop);
        await lookup.followLink(node.target);
        continue;
      }
      if (isFolder(node!)) {
        if (creates || truncates || writes) fail(Errno.isdir);
        return this.#add({ folder: node, listing: [] }, node);
      }
      if (wantsFolder || lookup.mustBeFolder) fail(Errno.notdir);
      return this.#openFile(node as FileNode, { reads, writes, truncates });
    }
  }

  async #openFile(
    node: FileNode,
    how: { reads: boolean; writes: boolean; truncates: boolean },
  ): Promise<Uint8Array> {
    const file = await node.open(how);
    if (this.#over || this.#open.size >= openMax) {
      await swallow(() => file.close());
      fail(Errno.mfile);
    }
    return this.#add({ node: isOpenNode(file) ? file : node, file, users: 1 }, node);
  }

  async #reopen({ handle, reads, writes }: Request<'reopen'>): Promise<Uint8Array> {
    const open = this.#of(handle);
    this.#expectRoom();
    if ('folder' in open) {
      if (isRemote(open.folder)) return this.#addRemote(await open.folder.reopen());
      return this.#add({ folder: open.folder, listing: [] }, open.folder);
    }
    return this.#openFile(open.node, { reads, writes, truncates: false });
  }

  async #addRemote(opened: RemoteOpened): Promise<Uint8Array> {
    const open: Open = 'folder' in opened ? { folder: opened.folder, listing: [] } : { ...opened, users: 1 };
    if (this.#over || this.#open.size >= openMax) {
      await swallow(() => closed(open));
      fail(Errno.mfile);
    }
    return this.#add(open, 'folder' in open ? open.folder : open.node);
  }

  #add(open: Open, { filetype }: { filetype: number }): Uint8Array {
    this.#last++;
    this.#open.set(this.#last, open);
    return words(BigInt(this.#last), BigInt(filetype));
  }

  #expectRoom(): void {
    if (this.#open.size >= openMax) fail(Errno.mfile);
  }

  async #list({ handle, from }: Request<'list'>): Promise<Uint8Array> {
    const open = this.#of(handle);
    if (!('folder' in open)) return fail(Errno.notdir);
    if (from === 0 && isRemote(open.folder)) open.listing = await open.folder.list();
    else if (from === 0 && !isRemote(open.folder)) {
      const { ino } = await open.folder.stat();
      const dots = ['.', '..'].map((name) => ({
        name: Buffer.from(name),
        filetype: Filetype.directory,
        inode: ino,
      }));
      open.listing = [...dots, ...(await open.folder.list())];
    }
    return packNames(open.listing.slice(from), payloadBytesMax);
  }

  async #rename({ from, to }: Request<'rename'>): Promise<Uint8Array> {
    const old = await this.#lookup(from);
    const fresh = await this.#lookup(to);
    if (old.isFolderItself || fresh.isFolderItself) fail(Errno.busy);
    await expectFolderWhereNamedSo(old);
    if (fresh.mustBeFolder && !isFolder((await old.node()) ?? fail(Errno.noent))) fail(Errno.notdir);
    return done(old.folder.rename(old.name, fresh.folder, fresh.name));
  }

  async #link({ from, to, follow }: Request<'link'>): Promise<Uint8Array> {
    const node = await (await this.#lookup(from)).found(follow);
    const fresh = await this.#lookup(to);
    await fresh.expectNothingThere();
    if (isFolder(node)) fail(Errno.perm);
    return done(fresh.folder.link(fresh.name, node));
  }

  #lookup({ at, path }: FilePath): Promise<TreeLookup> {
    const folder = this.#folderAt(at);
    return TreeLookup.of(isRemote(folder) ? fail(Errno.xdev) : folder, path);
  }

  #folderAt(at: FileAt): Folder | RemoteFolder {
    if ('mount' in at) return this.#mounts.get(at.mount) ?? fail(Errno.noent);
    const open = this.#of(at.handle);
    return 'folder' in open ? open.folder : fail(Errno.notdir);
  }

  #of(handle: number): Open {
    return this.#open.get(handle) ?? fail(Errno.badf);
  }

  #file({ handle }: { handle: number }): OpenedFile {
    const open = this.#of(handle);
    return 'file' in open ? open.file : fail(Errno.isdir);
  }

  #statOf(open: Open): Maybe<Filestat> {
    return 'file' in open ? open.file.stat() : open.folder.stat();
  }
}

async function closed(open: Open): Promise<void> {
  if ('file' in open) await returned(open);
  else if (isRemote(open.folder)) await open.folder.close();
}

/** One user less. */
export async function returned(lent: LentFile): Promise<void> {
  lent.users--;
  if (lent.users === 0) await lent.file.close();
}

/** ENOTDIR where a path with a slash at its end names something else. */
async function expectFolderWhereNamedSo(lookup: TreeLookup): Promise<void> {
  if (!lookup.mustBeFolder) return;
  const node = (await lookup.node()) ?? fail(Errno.noent);
  if (!isFolder(node)) fail(Errno.notdir);
}

const timesOf = ({ atimNs, mtimNs }: TimesToSet): TimesToSet => ({ atimNs, mtimNs });

async function done(result: Maybe<void>): Promise<Uint8Array> {
  await result;
  return nothing;
}

/** What nobody hears of: who had it open is gone. */
async function swallow(run: () => Maybe<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (errnoOf(error) === undefined && !(error instanceof WasiError)) throw error;
  }
}

function words(...values: bigint[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 8));
  values.forEach((value, i) => {
    view.setBigUint64(i * 8, value, true);
  });
  return new Uint8Array(view.buffer);
}
