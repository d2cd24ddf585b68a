// That the kernel enforces what is written into control groups of version 2: memory, threads and shares of the processor, for root
// and for a plain user whose group was delegated. On a kernel of its own, Debian's User Mode Linux, which takes some seconds and no
// privilege: machines with version 1 have no other one, and the groups of this machine stay as they are.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const KERNEL = 'linux.uml';
const PROGRAM = fileURLToPath(new URL('./cgroup-enforced.ts', import.meta.url));
const there = spawnSync(KERNEL, ['--version'], { timeout: 10_000 }).error === undefined;
if (!there) console.log('skipped: what the kernel enforces: apt-get install user-mode-linux');

/** The first program of that kernel: its files are this machine's, read only. */
const INIT = `#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export TMPDIR=/run # a checkout may be in /tmp
mount -t proc none /proc; mount -t sysfs none /sys; mount -t tmpfs none /run; mount -t cgroup2 none /sys/fs/cgroup
'${process.execPath}' '${PROGRAM}'
unit=/sys/fs/cgroup/unit
mkdir $unit; echo $$ >$unit/cgroup.procs
echo '+memory +pids +cpu' >/sys/fs/cgroup/cgroup.subtree_control
chown 65534 $unit $unit/cgroup.procs $unit/cgroup.subtree_control
setpriv --reuid 65534 --regid 65534 --clear-groups '${process.execPath}' '${PROGRAM}'
echo o >/proc/sysrq-trigger; sleep 10
`;

it.runIf(there)(
  'a virtual kernel that takes more memory is ended alone, one that forks is refused, each has a share of the processor, and guests theirs beside services',
  { timeout: 180_000 },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'odonata-kernel-'));
    try {
      const init = join(folder, 'init.sh');
      writeFileSync(init, INIT);
      chmodSync(init, 0o755);
      const where = ['rootfstype=hostfs', 'rootflags=/', 'ro', `init=${init}`];
      const { stdout, stderr } = spawnSync(
        KERNEL,
        ['mem=700M', ...where, 'con=null', 'con0=null,fd:1', 'quiet', `uml_dir=${folder}/`],
        { encoding: 'utf8', timeout: 150_000, stdio: ['ignore', 'pipe', 'pipe'] },
      );
      const said = [...stdout.matchAll(/^ENFORCED (.*?)\r?$/gm)].map(([, json]) => JSON.parse(json!));
      expect(said, `${stdout}${stderr}`).toHaveLength(2);
      for (const each of said) {
        expect(each).toMatchObject({
          home: 'version 2: memory, pids, cpu',
          memory: { signal: 'SIGKILL', ranOut: true, neighbour: false },
          pids: { error: true, within: true, refused: true },
          neighbour: true,
          cluster: { entered: true, services: true, left: false },
        });
        // An eleventh, beside a service that never sleeps.
        expect(each.cluster.shareOfGuests).toBeGreaterThan(0.04);
        expect(each.cluster.shareOfGuests).toBeLessThan(0.2);
        // One thread against eight.
        expect(each.cpu.shareOfOne).toBeGreaterThan(0.3);
        expect(each.cpu.shareOfOne).toBeLessThan(0.7);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
