// Images of programs: brought by whom nobody believes, shared, and given up again.
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { ImageDataSchema, ImageLaySchema } from '@odonata/proto/pmap/v1/pmap';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Charges } from './charge.ts';
import { Frames } from './frames.ts';
import { Images, type ImageUser } from './images.ts';

const PAGES = 3;
const bytes = Buffer.alloc(PAGES * PAGE_BYTES, 'abc');
const sha256 = Uint8Array.from(createHash('sha256').update(bytes).digest());
const session = {};
const user = (id: bigint): ImageUser => ({ id, sizeBytes: 1 << 20, image: undefined });

let memoryDir: string;
let frames: Frames;
let images: Images;
beforeEach(() => {
  memoryDir = mkdtempSync(join(tmpdir(), 'odonata-images-'));
  frames = new Frames(1_000, new Charges());
  images = new Images({ memoryDir, frames });
});
afterEach(() => {
  images.close();
  expect(readdirSync(memoryDir)).toEqual([]);
  rmSync(memoryDir, { recursive: true });
});

const lay = (who: ImageUser, about: MessageInitShape<typeof ImageLaySchema> = {}) =>
  images.lay(
    who,
    create(ImageLaySchema, {
      ...{ vmspace: who.id, sha256, pageCount: PAGES },
      spans: [{ firstPage: 4, pageCount: PAGES, imagePage: 0 }],
      ...about,
    }),
    0,
  );
const bring = (about: MessageInitShape<typeof ImageDataSchema> = {}, by: object = session): void =>
  images.bring(by, create(ImageDataSchema, { sha256, pageCount: PAGES, data: bytes, ...about }), 0);
const piece = (page: number, pages = 1) => ({
  offset: BigInt(page * PAGE_BYTES),
  data: bytes.subarray(page * PAGE_BYTES, (page + pages) * PAGE_BYTES),
});

test('it is brought once, takes its frames once, and goes when nobody had it for a while', () => {
  const [one, two] = [user(1n), user(2n)];
  expect(lay(one)).toBeUndefined();
  bring(piece(0));
  expect(lay(one)).toBeUndefined();
  bring(piece(1, 2));
  const image = lay(one)!;
  expect(lay(two)).toBe(image);
  const read = Buffer.alloc(2 * PAGE_BYTES);
  image.readInto(1, read);
  expect(read.equals(bytes.subarray(PAGE_BYTES))).toBe(true);
  // Somebody brings what is there.
  bring({}, {});
  expect([images.count, images.frames, frames.sharedFrames]).toEqual([1, PAGES, PAGES]);
  images.release(one, 1_000);
  images.look(100_000);
  expect(images.count).toBe(1);
  images.release(two, 100_000);
  images.look(100_001);
  expect(images.count).toBe(1);
  images.look(200_000);
  expect([images.count, images.frames, frames.sharedFrames]).toEqual([0, 0, 0]);
});

test('where frames are scarce nothing is kept for later', () => {
  bring();
  const one = user(1n);
  lay(one);
  images.release(one, 0);
  frames.resume(900);
  images.look(1);
  expect(images.count).toBe(0);
});

test('another pmap manager finds it by its name', () => {
  bring();
  const one = user(1n);
  lay(one);
  const next = new Images({ memoryDir, frames: new Frames(1_000, new Charges()) });
  next.adopt(one, create(ImageLaySchema, { sha256, pageCount: PAGES, spans: one.image!.spans.slice() }));
  images.letGo();
  expect([next.count, next.frames, one.image?.image.pageCount]).toEqual([1, PAGES, PAGES]);
  next.close();
});

test('what is not as it is said ends whoever said it, and leaves nothing', () => {
  const lies: (() => unknown)[] = [
    () => bring({ data: Buffer.from(bytes).fill(1, 5, 6) }),
    () => bring({ data: bytes.subarray(1) }),
    () => bring({ data: Buffer.concat([bytes, bytes]) }),
    () => bring(piece(1)),
    () => bring({ pageCount: 2 }),
  ];
  for (const lie of lies) {
    expect(lie).toThrow(/image/);
    images.abandon(session);
    expect([images.count, images.frames, frames.sharedFrames]).toEqual([0, 0, 0]);
  }
  bring();
  const spans = [
    [{ firstPage: 300, pageCount: 1, imagePage: 0 }],
    [{ firstPage: 1, pageCount: 4, imagePage: 0 }],
    [{ firstPage: 1, pageCount: 2, imagePage: 2 }],
    [
      { firstPage: 4, pageCount: 2, imagePage: 0 },
      { firstPage: 5, pageCount: 1, imagePage: 0 },
    ],
  ];
  for (const wrong of spans) expect(() => lay(user(1n), { spans: wrong })).toThrow(/pages of an image/);
  const two = [{ firstPage: 4, pageCount: 2, imagePage: 0 }];
  expect(() => lay(user(1n), { pageCount: 2, spans: two })).toThrow(/an image of 2 pages, which has 3/);
});

test('images get a quarter of the frames, and who is told so goes without', () => {
  const large = Buffer.alloc(251 * PAGE_BYTES);
  const digest = Uint8Array.from(createHash('sha256').update(large).digest());
  expect(() => bring({ sha256: digest, pageCount: 251, data: large })).toThrow(/quarter of the frames/);
  frames.resume(999);
  expect(() => bring()).toThrow(/frames of an image are not to be had/);
});
