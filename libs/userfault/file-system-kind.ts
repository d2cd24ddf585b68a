// On which kind of file system an open file is, by the kernel's own words: not by a path, and not by a magic number, which
// devtmpfs shares with tmpfs.
import { readFileSync } from 'node:fs';

/**
 * What holds people's files, and nothing else. A list of what is allowed, and not of procfs, sysfs, cgroups, debugfs and so
 * on: each release of Linux may bring one more of those.
 */
const FOR_FILES = new Set([
  ...['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'bcachefs', 'zfs', 'f2fs', 'jfs', 'nilfs2', 'reiserfs'],
  ...['tmpfs', 'ramfs', 'overlay', 'aufs', 'ecryptfs'],
  ...['nfs', 'nfs4', 'cifs', 'smb3', '9p', 'virtiofs', 'ceph', 'lustre', 'afs', 'gfs2', 'ocfs2', 'gpfs'],
  ...['beegfs', 'orangefs', 'fuse', 'fuseblk', 'vboxsf'],
  ...['vfat', 'exfat', 'ntfs3', 'hfsplus', 'udf', 'iso9660', 'squashfs', 'erofs'],
]);

/** `ext4`, `fuse.sshfs`; undefined where the kernel does not tell. */
export function fileSystemOf(fd: number): string | undefined {
  const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    // ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELDS ...] - KIND SOURCE OPTIONS
    const [mount, ...fields] = line.split(' ');
    if (mount === id) return fields[fields.indexOf('-') + 1];
  }
  return undefined;
}

export const holdsFiles = (kind: string | undefined): boolean =>
  kind !== undefined && FOR_FILES.has(kind.startsWith('fuse.') ? 'fuse' : kind);
