// What a program asks of a path in a folder of another node: it goes there whole.

import { FileOp } from '@odonata/proto/vkernel/v1/files';
import { Errno } from '../../wasi/errno.ts';
import { type FileAt, type FileRequest, packStat } from '../../wasi/mounts/file-request.ts';
import type { Folder } from '../tree.ts';
import { fail } from '../tree.ts';
import { RemoteFolder, statOf } from './remote-files.ts';

export type RemoteOpened = Awaited<ReturnType<RemoteFolder['open']>>;
export type RemoteAnswer = { readonly opened: RemoteOpened } | { readonly answer: Uint8Array };

const nothing = { answer: new Uint8Array(0) };
const READLINK_BYTES_MAX = 4096;

export const isRemote = (folder: Folder | RemoteFolder): folder is RemoteFolder =>
  folder instanceof RemoteFolder;

/** Undefined: it is about no path, or about one here. @throws WasiError */
export async function serveRemotePath(
  request: FileRequest,
  folderAt: (at: FileAt) => Folder | RemoteFolder,
): Promise<RemoteAnswer | undefined> {
  if (request.op === 'rename' || request.op === 'link') {
    const [from, to] = [folderAt(request.from.at), folderAt(request.to.at)];
    if (!isRemote(from) && !isRemote(to)) return undefined;
    if (!isRemote(from) || !isRemote(to)) return fail(Errno.xdev);
    const op = request.op === 'rename' ? FileOp.RENAME : FileOp.LINK;
    await from.between({ op, follow: 'follow' in request && request.follow }, request.from, to, request.to);
    return nothing;
  }
  if (!('at' in request)) return undefined;
  const folder = folderAt(request.at);
  if (!isRemote(folder)) return undefined;
  switch (request.op) {
    case 'open':
      return { opened: await folder.open(request, request) };
    case 'stat-path':
      return {
        answer: packStat(
          statOf((await folder.at({ op: FileOp.STAT_PATH, follow: request.follow }, request)).stat),
        ),
      };
    case 'set-times-path': {
      const { follow, atimNs, mtimNs } = request;
      await folder.at({ op: FileOp.SET_TIMES_PATH, follow, atimNs, mtimNs }, request);
      return nothing;
    }
    case 'readlink': {
      const { data } = await folder.at({ op: FileOp.READLINK }, request);
      return data.length > READLINK_BYTES_MAX ? fail(Errno.io) : { answer: data };
    }
    case 'symlink':
      await folder.at({ op: FileOp.SYMLINK, data: Buffer.from(request.target, 'latin1') }, request);
      return nothing;
    case 'mkdir':
    case 'rmdir':
    case 'unlink':
      await folder.at({ op: OPS[request.op] }, request);
      return nothing;
  }
}

const OPS = { mkdir: FileOp.MKDIR, rmdir: FileOp.RMDIR, unlink: FileOp.UNLINK };
