// What a virtual kernel with a uid of its own may do with files of granted directories; and whether that uid is anybody else's.
import { readFileSync } from 'node:fs';
import type { UidRange } from '@odonata/rpc/vkernel-uids.ts';
import type { Check } from './check.ts';

/** @param whyNot why ids cannot be mapped on that directory; undefined where they can */
export function checkGrants(uids: UidRange | undefined, dir: string, whyNot: string | undefined): Check {
  const name = 'grant ids';
  if (uids === undefined)
    return {
      name,
      ok: true,
      detail: 'files of granted directories are as they are to you: virtual kernels have your uid',
    };
  if (whyNot === undefined)
    return {
      name,
      ok: true,
      detail: `root's files in granted directories are the virtual kernel's own, by ids mapped on a mount; tried on ${dir}`,
    };
  return {
    ...{ name, ok: true, warning: true },
    detail: `in directories such as ${dir} a virtual kernel may what everybody may, and no more: ${whyNot}`,
    fix: 'grant directories of ext4, xfs, btrfs or tmpfs on Linux 5.12 or later (6.3 for tmpfs); or let everybody do what programs are to do there: chmod -R o+rX DIR',
  };
}

/** Ranges as /etc/subuid and /etc/subgid have them, NAME:FIRST:COUNT; of lines that are none, nothing. */
export function subordinate(text: string): { whose: string; first: number; count: number }[] {
  return text.split('\n').flatMap((line) => {
    const [, whose, first, count] = /^([^:#]+):(\d+):(\d+)$/.exec(line.trim()) ?? [];
    return whose === undefined ? [] : [{ whose, first: Number(first), count: Number(count) }];
  });
}

const readIfThere = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

/** @param files whose: users by name and uid, and ranges that they may give to others */
export function checkSubordinateUids(
  uids: UidRange | undefined,
  files: { passwd?: string; subuid?: string; subgid?: string } = {},
): Check {
  const name = 'other uids';
  const {
    passwd = readIfThere('/etc/passwd'),
    subuid = readIfThere('/etc/subuid'),
    subgid = readIfThere('/etc/subgid'),
  } = files;
  if (uids === undefined)
    return {
      name,
      ok: true,
      detail:
        'subordinate uids (/etc/subuid) are neither needed nor used: virtual kernels have your uid, in user namespaces of their own',
    };
  const last = uids.first + uids.count - 1;
  const users = passwd.split('\n').flatMap((line) => {
    const [whose, , uid] = line.split(':');
    return whose && uid ? [{ whose, first: Number(uid), count: 1 }] : [];
  });
  const taken = [...users, ...subordinate(subuid), ...subordinate(subgid)].find(
    ({ first, count }) => first <= last && first + count > uids.first,
  );
  const range = `${uids.first} to ${last}`;
  if (taken === undefined)
    return {
      name,
      ok: true,
      detail: `${range}, of virtual kernels, are nobody else's, nor anybody's subordinate ones`,
    };
  return {
    ...{ name, ok: true, warning: true },
    detail: `${range} are for virtual kernels, and ${taken.whose} has ${taken.first} to ${taken.first + taken.count - 1} (/etc/passwd, /etc/subuid, /etc/subgid): what runs as these may end them and read what is theirs`,
    fix: 'vkctl up --vkernel-uids FIRST, of 64 uids that nobody has; or take the range out of /etc/subuid and /etc/subgid',
  };
}
