// What processes of one program begin with: an image each, named by the digest of its bytes, in a file that nobody writes. Virtual
// kernels map it under the memory of their processes, and copy what these write into private memory; so however many processes
// there are, and of however many virtual kernels, an image takes its frames once. It is the node's: whoever brings the same bytes has
// it already, and nobody learns of it who does not have them.

import { createHash, type Hash } from 'node:crypto';
import { closeSync, fchmodSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { CHARGED_TO_NODE } from '@odonata/coherency/node/memory/page-frames.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { ImageData, ImageLay, ImageSpan } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { ofLimit } from '../limit-of.ts';
import { Lie } from '../sessions/hearsay.ts';
import { isFull, refusalOf } from './exhausted.ts';
import type { FrameLedger } from './frames.ts';

/** Of a node. */
export const IMAGES_MAX = 256;
/** Of the frames of a node: all of them together. */
const FRAMES_PART = 1 / 4;
/** Nobody uses it: the next process of the same program may come soon. */
const UNUSED_MS = 30_000;
/** Below this part of free frames nothing is kept for later. */
const SCARCE_PART = 1 / 8;
const READABLE_MODE = 0o400;

export type LaidSpan = Pick<ImageSpan, 'firstPage' | 'pageCount' | 'imagePage'>;

/** What an image is laid under. */
export interface ImageUser {
  readonly id: bigint;
  readonly sizeBytes: number;
  image: LaidImage | undefined;
}

/** Where the pages of an image are in the memory of a process. */
export interface LaidImage {
  readonly image: Image;
  /** In order. */
  readonly spans: readonly LaidSpan[];
}

export class Image {
  readonly id: bigint;
  readonly key: string;
  readonly path: string;
  readonly pageCount: number;
  readonly users = new Set<ImageUser>();
  lastUsedMs = 0;
  private readonly fd: number;

  constructor(about: Pick<Image, 'id' | 'key' | 'path' | 'pageCount'>) {
    this.id = about.id;
    this.key = about.key;
    this.path = about.path;
    this.pageCount = about.pageCount;
    this.fd = openSync(this.path, 'r');
  }

  get sha256(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(Buffer.from(this.key, 'hex'));
  }

  withDescriptor<T>(use: (fd: number) => T): T {
    return use(this.fd);
  }

  readInto(page: number, bytes: Uint8Array): void {
    readSync(this.fd, bytes, 0, bytes.length, page * PAGE_BYTES);
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** One that a virtual kernel brings. */
interface Upload {
  readonly key: string;
  readonly path: string;
  readonly pageCount: number;
  readonly fd: number;
  readonly hash: Hash;
  done: number;
}

export interface ImagesOptions {
  readonly memoryDir: string;
  readonly frames: FrameLedger & {
    readonly total: number;
    readonly free: number;
    room(of: undefined): number;
  };
}

export class Images {
  private readonly o: ImagesOptions;
  private readonly byKey = new Map<string, Image>();
  /** Of each session one. */
  private readonly uploads = new Map<object, Upload>();
  private lastId = 0n;
  private pages = 0;

  constructor(options: ImagesOptions) {
    this.o = options;
  }

  get count(): number {
    return this.byKey.size;
  }

  /** Frames of all. */
  get frames(): number {
    return this.pages;
  }

  get(id: bigint): Image | undefined {
    for (const image of this.byKey.values()) if (image.id === id) return image;
    return undefined;
  }

  paths(): string[] {
    return [...this.byKey.values()].map(({ path }) => path);
  }

  /** Undefined: it is not here, and has to be brought. @throws RpcError INVALID_ARGUMENT */
  lay(user: ImageUser, { sha256, pageCount, spans }: ImageLay, nowMs: number): Image | undefined {
    expectSpans(spans, { pageCount, sizeBytes: user.sizeBytes });
    const image = this.byKey.get(hex(sha256));
    if (image === undefined) return undefined;
    if (image.pageCount !== pageCount)
      throw new Lie(`an image of ${pageCount} pages, which has ${image.pageCount}`);
    if (user.image !== undefined && user.image.image !== image)
      throw new Lie(`another image under vmspace ${user.id}, which has one`);
    this.use(user, image, spans);
    image.lastUsedMs = nowMs;
    return image;
  }

  private use(user: ImageUser, image: Image, spans: readonly LaidSpan[]): void {
    image.users.add(user);
    user.image = {
      image,
      spans: spans.map(({ firstPage, pageCount, imagePage }) => ({ firstPage, pageCount, imagePage })),
    };
  }

  /** Another pmap manager laid it. Where its file is gone, the process goes on, and what it has of it cannot be read here. */
  adopt(user: ImageUser, { sha256, pageCount, spans }: ImageLay): void {
    const key = hex(sha256);
    let image = this.byKey.get(key);
    if (image === undefined) {
      try {
        image = this.add(key, pageCount);
      } catch {
        return;
      }
      this.take(pageCount);
    }
    this.use(user, image, spans);
  }

  /** A process is over. */
  release(user: ImageUser, nowMs: number): void {
    const { image } = user.image ?? {};
    user.image = undefined;
    image?.users.delete(user);
    if (image !== undefined) image.lastUsedMs = nowMs;
  }

  /** Takes a part of what a virtual kernel brings. @throws RpcError RESOURCE_EXHAUSTED; Lie */
  bring(session: object, { sha256, offset, pageCount, data }: ImageData, nowMs: number): void {
    const key = hex(sha256);
    let upload = this.uploads.get(session);
    if (offset === 0n) {
      this.abandon(session);
      // Somebody else was first.
      if (this.byKey.has(key)) return;
      upload = this.begin(key, pageCount);
      this.uploads.set(session, upload);
    }
    if (upload === undefined && this.byKey.has(key)) return;
    // It was brought to another pmap manager, or given up since.
    if (upload === undefined)
      throw new RpcError(Code.Aborted, 'what came of the image before is not here: bring it anew');
    if (upload.key !== key || upload.done !== Number(offset) || upload.pageCount !== pageCount)
      throw new Lie('a part of an image out of its order');
    if (data.length === 0 || data.length % PAGE_BYTES !== 0 || upload.done + data.length > bytesOf(pageCount))
      throw new Lie(`${data.length} bytes of an image: whole pages, and not past its end`);
    try {
      for (let at = 0; at < data.length; ) at += writeSync(upload.fd, data, at);
    } catch (error) {
      this.abandon(session);
      if (isFull(error)) throw refusalOf(upload.path);
      throw error;
    }
    upload.hash.update(data);
    upload.done += data.length;
    if (upload.done === bytesOf(pageCount)) this.finish(session, upload, nowMs);
  }

  /** @throws RpcError RESOURCE_EXHAUSTED */
  private begin(key: string, pageCount: number): Upload {
    const { frames } = this.o;
    const most = Math.floor(frames.total * FRAMES_PART);
    if (this.byKey.size + this.uploads.size >= IMAGES_MAX || this.pages + pageCount > most)
      throw ofLimit(
        'images',
        new RpcError(
          Code.ResourceExhausted,
          `images of programs may have a quarter of the frames of a node, and be ${IMAGES_MAX}: this one is not shared; ` +
            'vkctl up --node-memory gives a node more',
        ),
      );
    if (frames.room(undefined) < pageCount)
      throw ofLimit(
        'image-frames',
        new RpcError(
          Code.ResourceExhausted,
          `${pageCount} frames of an image are not to be had: it is not shared; vkctl up --node-memory gives a node more`,
        ),
      );
    // Of one that is being brought, and of no other.
    this.lastId++;
    const path = `${this.pathOf(key)}.${this.lastId}`;
    const fd = openSync(path, 'wx+', 0o600);
    this.take(pageCount);
    return { key, path, pageCount, fd, hash: createHash('sha256'), done: 0 };
  }

  private finish(session: object, upload: Upload, nowMs: number): void {
    if (upload.hash.digest('hex') !== upload.key) {
      this.abandon(session);
      throw new Lie('an image whose bytes are others than its digest says');
    }
    this.uploads.delete(session);
    fchmodSync(upload.fd, READABLE_MODE);
    closeSync(upload.fd);
    if (this.byKey.has(upload.key)) {
      this.drop(upload);
      return;
    }
    // By this name another pmap manager finds it.
    renameSync(upload.path, this.pathOf(upload.key));
    this.add(upload.key, upload.pageCount).lastUsedMs = nowMs;
  }

  private pathOf(key: string): string {
    return join(this.o.memoryDir, `image-${key}`);
  }

  /** @throws where its file is not there, or of another size */
  private add(key: string, pageCount: number): Image {
    this.lastId++;
    const path = this.pathOf(key);
    const image = new Image({ id: this.lastId, key, path, pageCount });
    if (image.withDescriptor((fd) => fstatSync(fd).size) !== bytesOf(pageCount)) {
      image.close();
      throw new Error(`${path} is no image of ${pageCount} pages`);
    }
    this.byKey.set(key, image);
    return image;
  }

  /** Its session is over, or it begins another one. */
  abandon(session: object): void {
    const upload = this.uploads.get(session);
    if (upload === undefined) return;
    this.uploads.delete(session);
    closeSync(upload.fd);
    this.drop(upload);
  }

  private take(pages: number): void {
    this.pages += pages;
    for (let i = 0; i < pages; i++) this.o.frames.taken(CHARGED_TO_NODE);
  }

  private drop({ path, pageCount }: Pick<Image, 'path' | 'pageCount'>): void {
    rmSync(path, { force: true });
    this.pages -= pageCount;
    this.o.frames.dropped(CHARGED_TO_NODE, pageCount);
  }

  /** Gives up what nobody used for a while, or where frames are scarce. */
  look(nowMs: number): void {
    const { free, total } = this.o.frames;
    const isScarce = free < total * SCARCE_PART;
    for (const image of [...this.byKey.values()]) {
      if (image.users.size > 0 || (!isScarce && nowMs - image.lastUsedMs < UNUSED_MS)) continue;
      this.byKey.delete(image.key);
      image.close();
      this.drop(image);
    }
  }

  /** Another pmap manager goes on with them. */
  letGo(): void {
    for (const session of [...this.uploads.keys()]) this.abandon(session);
    for (const image of this.byKey.values()) image.close();
    this.byKey.clear();
  }

  close(): void {
    const paths = this.paths();
    this.letGo();
    for (const path of paths) rmSync(path, { force: true });
  }
}

/** @throws Lie */
function expectSpans(
  spans: readonly LaidSpan[],
  { pageCount, sizeBytes }: { pageCount: number; sizeBytes: number },
): void {
  let end = 0;
  for (const span of spans) {
    const isWithin =
      span.firstPage >= end &&
      bytesOf(span.firstPage + span.pageCount) <= sizeBytes &&
      span.imagePage + span.pageCount <= pageCount;
    if (!isWithin) throw new Lie('pages of an image: in order, apart, of the image, and within the memory');
    end = span.firstPage + span.pageCount;
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytesOf = (pages: number): number => pages * PAGE_BYTES;
