import { join } from 'node:path';
import { styleText } from 'node:util';
import { vkernelUids } from '@odonata/rpc/vkernel-uids.ts';
import type { Command } from 'commander';
import { type ClusterPaths, clusterPaths, nodeName } from '../cluster/paths.ts';
import { DEFAULT_PORT } from '../cluster/start.ts';
import type { Check } from '../doctor/check.ts';
import { checkGrants, checkSubordinateUids } from '../doctor/grants.ts';
import {
  checkKernel,
  checkMemorySpace,
  checkNats,
  checkNode,
  checkSetpriv,
  memoryFileCheck,
} from '../doctor/machine.ts';
import { checkFolders, checkPort, checkRemains } from '../doctor/place.ts';
import { printJson } from '../json.ts';
import { plural, print, say } from '../output.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  examples,
  jsonOption,
  quietOption,
  wholeNumber,
} from './options.ts';

interface DoctorOptions extends ClusterOption {
  port: number;
  json?: boolean;
  quiet?: boolean;
}

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .summary('what this machine lacks, and how to mend it')
    .description(
      'Checks what a cluster needs of this machine; each check that fails or warns prints its fix.',
    )
    .option('-p, --port <port>', 'port that "up" would use', wholeNumber(1, 65_535), DEFAULT_PORT)
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print only what failed'))
    .action(doctor);
  examples(command, [['vkctl doctor', 'exit code 0 when all is well or only warns, 1 when not']]);
}

async function doctor(options: DoctorOptions): Promise<void> {
  const paths = clusterPaths(clusterOf(options));
  const checks: Check[] = [
    checkNode(),
    checkKernel(),
    ...(await userfaultChecks()),
    ...(await confinementChecks(paths)),
    checkMemorySpace(paths.lockFile),
    checkNats(),
    checkSetpriv(),
    await checkPort(paths, options.port),
    checkFolders(paths),
    checkRemains(paths),
  ];
  const failed = checks.filter((check) => !check.ok);
  if (options.json) {
    printJson({ ok: failed.length === 0, checks });
  } else {
    for (const check of options.quiet ? failed : checks) print(line(check));
    say(failed.length === 0 ? 'all is well' : `${plural(failed.length, 'check')} failed`);
  }
  process.exitCode = failed.length === 0 ? 0 : 1;
}

async function userfaultChecks(): Promise<Check[]> {
  const name = 'userfaultfd';
  try {
    // Loaded here: it brings a native library, and a doctor must be able to say that this failed.
    const { probeUserfault } = await import('@odonata/userfault/probe.ts');
    return probeUserfault();
  } catch (error) {
    return [{ name, ok: false, detail: `cannot be tried: ${(error as Error).message}`, fix: 'make setup' }];
  }
}

/** What keeps a virtual kernel from its machine. What is not needed here is no failure. */
async function confinementChecks({ runtimeDir }: ClusterPaths): Promise<Check[]> {
  try {
    const { goesWith, lookAtHost } = await import('@odonata/userfault/sandbox/layers.ts');
    const { whyNoIdMapping } = await import('@odonata/userfault/sandbox/id-mapping.ts');
    const { whyNoFixedSize } = await import('@odonata/userfault/sandbox/fixed-size.ts');
    const uids = vkernelUids(join(runtimeDir, nodeName(1)));
    const found = lookAtHost(uids?.first).layers;
    const layers = found.map((layer): Check => {
      const { name, ok, mandatory, detail, fix } = layer;
      if (ok) return { name, ok, detail };
      const without = `or go without, less confined: vkctl up --allow-unconfined ${goesWith(found, layer)}`;
      if (mandatory) return { name, ok, detail, fix: fix === undefined ? without : `${fix}; ${without}` };
      const warns = fix !== undefined && { warning: true as const, fix };
      return { name, ok: true, detail: `none, optional: ${detail}`, ...warns };
    });
    const whyNot = uids && (await whyNoIdMapping(uids.first, process.cwd()));
    return [
      ...layers,
      checkSubordinateUids(uids),
      checkGrants(uids, process.cwd(), whyNot),
      memoryFileCheck(whyNoFixedSize()),
    ];
  } catch (error) {
    const detail = `cannot be tried: ${(error as Error).message}`;
    return [{ name: 'confinement', ok: false, detail, fix: 'make setup' }];
  }
}

function line({ name, ok, warning, detail, fix }: Check): string {
  const well = warning ? styleText('yellow', 'warn') : styleText('green', 'ok  ');
  const mark = ok ? well : styleText('red', 'FAIL');
  const head = `${mark}  ${name.padEnd(13)} ${detail}`;
  return fix && (warning || !ok) ? `${head}\n      ${'fix:'.padStart(13)} ${fix}` : head;
}
