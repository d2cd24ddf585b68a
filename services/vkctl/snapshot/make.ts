// Makes the snapshot of `main.ts` beside the bundle, and says where it is in a file that ./vkctl reads without a process of its
// own: four lines, of the checkout, this boot of the machine, the snapshot, and the commands that it knows. Node refuses a snapshot
// of another version, or of a processor with other features, so ./vkctl looks at those lines, and whether Node is older than it.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BUNDLES, currentBundle } from '@odonata/rpc/bundle.ts';

const run = promisify(execFile);
const MAKE_MS = 60_000;
const TRY_MS = 20_000;

export const SNAPSHOT_RECORD = join(BUNDLES, 'snapshot');
/** In the bundle. */
export const SNAPSHOT_CODE = 'snapshot.cjs';
const ROOT = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const SCRIPT = join(ROOT, 'services/vkctl/bin/vkctl.js');
/** What ./vkctl starts it with: code that Node has compiled of its own modules is of use under the same ones only. */
const FLAGS = ['--initial-heap-size=256', '--no-flush-bytecode', '--no-rehash-snapshot'];
/**
 * A snapshot keeps functions as they are: those that no command needed while it was made would be compiled at each start, which
 * takes longer than to read what all of them are compiled to.
 */
const COMPILE_ALL = `const { code } = JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8'));
const { setFlagsFromString } = require('v8');
setFlagsFromString('--no-lazy');
const run = require('vm').compileFunction(require('fs').readFileSync(code, 'utf8'), ['require'], { filename: code });
setFlagsFromString('--lazy');
run(require);
`;
const COMMANDS = ['run', 'exec', 'kill', 'wait', 'logs', '--version'];

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
const fileOf = (folder: string): string => join(folder, `vkctl-${process.version}.blob`);

/** Makes the snapshot of the bundle that is there, unless there is one that was tried since this machine started. */
export async function makeSnapshot(): Promise<void> {
  const bundle = currentBundle();
  if (bundle?.snapshot === undefined || isThere(bundle.folder)) return;
  const { folder, files, snapshot } = bundle;
  const begun = join(folder, `new-${process.pid}`);
  const [given, entry] = [`${begun}.json`, `${begun}.cjs`];
  const [made, record] = [`${begun}.blob`, `${begun}.record`];
  const of = new Set(snapshot);
  try {
    const code = join(folder, SNAPSHOT_CODE);
    writeFileSync(
      given,
      JSON.stringify({ code, script: SCRIPT, files: files.filter(([path]) => of.has(path)) }),
    );
    writeFileSync(entry, COMPILE_ALL);
    const build = ['--no-warnings', ...FLAGS, '--snapshot-blob', made, '--build-snapshot', entry, given];
    // Of a clean environment: what is in ours need not be in that of whoever starts it.
    await run(process.execPath, build, { env: {}, timeout: MAKE_MS });
    renameSync(made, fileOf(folder));
    const start = [...FLAGS, '--snapshot-blob', fileOf(folder), SCRIPT, '--version'];
    const { stdout } = await run(process.execPath, start, { timeout: TRY_MS });
    if (!/^\d+\.\d+\.\d+ /.test(stdout)) throw new Error(`it says ${JSON.stringify(stdout)}`);
    writeFileSync(record, [ROOT, bootId(), fileOf(folder), ` ${COMMANDS.join(' ')} `, ''].join('\n'));
    renameSync(record, SNAPSHOT_RECORD);
  } finally {
    for (const file of [given, entry, made, record]) rmSync(file, { force: true });
  }
}

function isThere(folder: string): boolean {
  try {
    const [, boot, file] = readFileSync(SNAPSHOT_RECORD, 'utf8').split('\n');
    return boot === bootId() && file === fileOf(folder) && existsSync(file);
  } catch {
    return false;
  }
}
