// Looks up a path in the tree of a mount, and never leaves the folder that it begins in: the rules of wasi/path-lookup.ts, which does
// the same for directories of the host.

import { Errno } from '../wasi/errno.ts';
import { type Folder, fail, isFolder, isLink, type TreeNode } from './tree.ts';

const pathBytesMax = 4096;
const nameBytesMax = 255;
const depthMax = 512;
/** As Linux has it. */
const linksMax = 40;

export class TreeLookup {
  /** The folders from the first one downwards. */
  readonly #folders: Folder[];
  /** Components still to walk, the next one last. */
  #pending: string[] = [];
  #links = 0;
  /** The last component: a name in `folder`, or '.' for that folder itself. */
  name = '.';
  /** The path ended in a slash, '.' or '..', so what it names has to be a directory. */
  mustBeFolder = false;
  endsInParent = false;

  private constructor(folder: Folder) {
    this.#folders = [folder];
  }

  /** @throws WasiError */
  static async of(folder: Folder, path: string): Promise<TreeLookup> {
    if (path === '') fail(Errno.noent);
    if (path.length > pathBytesMax) fail(Errno.nametoolong);
    if (path.includes('\0')) fail(Errno.inval);
    const lookup = new TreeLookup(folder);
    await lookup.#walk(path);
    return lookup;
  }

  /** The folder that the last component is in. */
  get folder(): Folder {
    return this.#folders.at(-1)!;
  }

  get isFolderItself(): boolean {
    return this.name === '.';
  }

  /** What the path names, with a link at its end as such. */
  async node(): Promise<TreeNode | undefined> {
    return this.isFolderItself ? this.folder : await this.folder.lookup(this.name);
  }

  /** The same through links at its end, where the caller or a slash says so. @throws WasiError ENOENT, ENOTDIR */
  async found(follow: boolean): Promise<TreeNode> {
    for (;;) {
      const node = (await this.node()) ?? fail(Errno.noent);
      if (isLink(node) && (follow || this.mustBeFolder)) {
        await this.followLink(node.target);
        continue;
      }
      if (this.mustBeFolder && !isFolder(node)) fail(Errno.notdir);
      return node;
    }
  }

  /** The last component is a link: walks on through it. */
  async followLink(target: string): Promise<void> {
    if (++this.#links > linksMax) fail(Errno.loop);
    await this.#walk(target);
  }

  /** A name that is to be made: EEXIST where something is, then ENOENT for a slash after nothing. */
  async expectNothingThere(): Promise<void> {
    if (this.isFolderItself || (await this.node()) !== undefined) fail(Errno.exist);
    if (this.mustBeFolder) fail(Errno.noent);
  }

  async #walk(path: string): Promise<void> {
    this.#push(path);
    for (;;) {
      const component = this.#pending.pop()!;
      const isLast = this.#pending.length === 0;
      if (component === '.' || component === '..') {
        if (component === '..') this.#ascend();
        if (!isLast) continue;
        this.name = '.';
        this.mustBeFolder = true;
        this.endsInParent = component === '..';
        return;
      }
      if (component.length > nameBytesMax) fail(Errno.nametoolong);
      if (isLast) {
        this.name = component;
        return;
      }
      await this.#descend(component);
    }
  }

  #push(path: string): void {
    if (path.startsWith('/')) fail(Errno.notcapable);
    const components = path.split('/').filter((component) => component !== '');
    if (path.endsWith('/') && this.#pending.length === 0) this.mustBeFolder = true;
    for (const component of components.reverse()) this.#pending.push(component);
  }

  #ascend(): void {
    if (this.#folders.length === 1) fail(Errno.notcapable);
    this.#folders.pop();
  }

  async #descend(component: string): Promise<void> {
    if (this.#folders.length > depthMax) fail(Errno.nametoolong);
    const node = (await this.folder.lookup(component)) ?? fail(Errno.noent);
    if (isFolder(node)) this.#folders.push(node);
    else if (isLink(node)) {
      if (++this.#links > linksMax) fail(Errno.loop);
      this.#push(node.target);
    } else fail(Errno.notdir);
  }
}
