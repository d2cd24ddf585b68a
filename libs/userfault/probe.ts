// Tries what a virtual kernel needs of this machine: real faults, on a real memory file.

import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { MapFlag, mmap, munmap, Prot, punchHole, SystemCallError } from './libc.ts';
import { Userfault, Watch } from './userfault.ts';

export interface ProbeFinding {
  /** What was tried. */
  name: string;
  ok: boolean;
  detail: string;
  /** How to mend it. */
  fix?: string;
}

const SECCOMP_FIX =
  'needs Linux 5.19 or later with CONFIG_USERFAULTFD; in a container a seccomp profile that allows userfaultfd(2) (Docker and containerd refuse it by default)';

/** Checks userfaultfd and memory files. It never throws. */
export function probeUserfault(memoryDir = '/dev/shm'): ProbeFinding[] {
  const findings: ProbeFinding[] = [];
  const attempt = (name: string, fix: string, run: () => string): boolean => {
    try {
      findings.push({ name, ok: true, detail: run() });
      return true;
    } catch (error) {
      const detail =
        error instanceof SystemCallError || error instanceof Error ? error.message : String(error);
      findings.push({ name, ok: false, detail, fix });
      return false;
    }
  };
  let userfault: Userfault | undefined;
  attempt('userfaultfd', SECCOMP_FIX, () => {
    userfault = Userfault.create();
    return 'user-mode faults: missing, minor and write-protect on shared memory';
  });
  attempt(
    'memory files',
    `mount a tmpfs on ${memoryDir} that this user may write to: mount -t tmpfs tmpfs ${memoryDir}`,
    () => tryMemoryFile(memoryDir, userfault),
  );
  userfault?.close();
  return findings;
}

// Maps a page of a file write-protected by UFFDIO_CONTINUE, as every shared page is mapped.
function tryMemoryFile(memoryDir: string, userfault: Userfault | undefined): string {
  const dir = mkdtempSync(join(memoryDir, 'odonata-probe-'));
  try {
    const fd = openSync(join(dir, 'file'), 'wx+', 0o600);
    ftruncateSync(fd, 2 * PAGE_BYTES);
    writeSync(fd, Buffer.alloc(PAGE_BYTES, 7), 0, PAGE_BYTES, 0);
    const address = mmap(0n, 2 * PAGE_BYTES, Prot.READ | Prot.WRITE, MapFlag.SHARED, fd, 0);
    try {
      if (userfault !== undefined) {
        userfault.register(address, 2 * PAGE_BYTES, Watch.MISSING | Watch.MINOR | Watch.WRITE_PROTECT);
        const errno = userfault.continue(address, PAGE_BYTES, true);
        if (errno !== 0)
          throw new SystemCallError('UFFDIO_CONTINUE write-protected (Linux 6.4 or later)', errno);
      }
      punchHole(fd, 0, PAGE_BYTES);
    } finally {
      munmap(address, 2 * PAGE_BYTES);
      closeSync(fd);
    }
    return userfault === undefined
      ? `${memoryDir} holds sparse files`
      : `${memoryDir}: sparse files, mapped and protected page by page`;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
