// Runs vkctl, and all that it starts, under the seccomp profile of k8s/, as the container of vkerneld has it:
//   node test/manifests/under-profile.ts up -n 1
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { installFilter } from '@odonata/userfault/sandbox/install-filter.ts';
import { allowFilter } from '@odonata/userfault/sandbox/seccomp.ts';

interface Profile {
  readonly syscalls: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly args?: readonly { readonly index: number; readonly value: number; readonly valueTwo: number }[];
  }[];
}

const ROOT = join(import.meta.dirname, '../..');
const { syscalls }: Profile = JSON.parse(readFileSync(join(ROOT, 'k8s/seccomp/userfaultfd.json'), 'utf8'));
const allowed = syscalls
  .filter(({ action }) => action === 'SCMP_ACT_ALLOW')
  .flatMap(({ names, args = [] }) =>
    names.map((call) => ({
      call,
      where: args.map(
        ({ index, value, valueTwo }) => [index, BigInt(value), BigInt(valueTwo)] as [number, bigint, bigint],
      ),
    })),
  );
const absent = syscalls.filter(({ action }) => action === 'SCMP_ACT_ERRNO').flatMap(({ names }) => names);
// The supervisor of this machine starts its services by setpriv; in a pod there is none.
installFilter(allowFilter([...allowed, { call: 'capset', where: [] }], absent));
const vkctl = join(ROOT, 'services/vkctl/bin/vkctl.js');
// In the place of this process: what Node has set up of io_uring by now would be refused.
process.execve!(process.execPath, [process.execPath, vkctl, ...process.argv.slice(2)], process.env);
