// Makes the snapshot of `main.ts` beside the bundle, and says where it is in a file that ./vkctl reads without a process of its
// own: four lines, of the checkout, this boot of the machine, the snapshot, and the commands that it knows. Node refuses a snapshot
// of another version, or of a processor with other features, so ./vkctl looks at those lines, and whether Node is older than it.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BUNDLE_RECORD, BUNDLES, currentBundle } from '@odonata/rpc/bundle.ts';
import { withCodeOf } from './code-cache.ts';

const run = promisify(execFile);
const MAKE_MS = 60_000;
const TRY_MS = 20_000;

export const SNAPSHOT_RECORD = join(BUNDLES, 'snapshot');
/** In the bundle. */
export const SNAPSHOT_CODE = 'snapshot.cjs';
const ROOT = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const SCRIPT = join(ROOT, 'services/vkctl/bin/vkctl.js');
/**
 * What ./vkctl starts it with: code that Node has compiled of its own modules is of use under the same ones only.
 *
 * A snapshot keeps functions as they are: those that no command needed while it was made would be compiled at each start, which
 * takes longer than to read what all of them are compiled to (--no-lazy), those of Node's own modules, too. A command is over before
 * it gains by better code than that, or by the garbage that it has collected.
 */
const FLAGS = [
  ...['--initial-heap-size=256', '--min-semi-space-size=16', '--no-flush-bytecode', '--no-rehash-snapshot'],
  ...['--no-lazy', '--no-sparkplug'],
];
/** At the end it says what modules of Node are in it. */
const RUN = `const { readFileSync, writeSync } = require('fs');
const { code } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
require('vm').compileFunction(readFileSync(code, 'utf8'), ['require'], { filename: code })(require);
writeSync(1, JSON.stringify(process.moduleLoadList));
`;
/** What commands load of Node that cannot be in it (late-modules.ts), and for their streams; it says all that this takes. */
const LOAD_LATE = `for (const name of ['http', 'http2', 'https', 'tls']) require(name);
void [process.stdin, process.stdout, process.stderr, performance.now(), require('fs').ReadStream];
console.log(JSON.stringify(process.moduleLoadList));
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
    writeFileSync(entry, RUN);
    const build = ['--no-warnings', ...FLAGS, '--snapshot-blob', made, '--build-snapshot', entry, given];
    // Of a clean environment: what is in ours need not be in that of whoever starts it.
    const [inside, late] = await Promise.all([
      run(process.execPath, build, { env: {}, timeout: MAKE_MS }),
      run(process.execPath, ['-e', LOAD_LATE], { env: {}, timeout: MAKE_MS }),
    ]);
    const there = new Set(modulesOf(inside.stdout));
    const wanted = modulesOf(late.stdout).filter((name) => !there.has(name));
    writeFileSync(made, withCodeOf(readFileSync(made), new Set(wanted)));
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

/** Node says `NativeModule http2`, and bindings. */
const modulesOf = (list: string): string[] =>
  (JSON.parse(list) as string[]).map((each) => each.replace(/^NativeModule /, ''));

function isThere(folder: string): boolean {
  try {
    const [, boot, file] = readFileSync(SNAPSHOT_RECORD, 'utf8').split('\n');
    if (boot !== bootId() || file !== fileOf(folder) || !existsSync(file)) return false;
    // The same bundle of files that were written again: it knows them as they were.
    return statSync(file).mtimeMs >= statSync(BUNDLE_RECORD).mtimeMs;
  } catch {
    return false;
  }
}
