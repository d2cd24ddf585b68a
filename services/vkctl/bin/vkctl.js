#!/usr/bin/env node
// Starts vkctl under the Node that the repository pins, whichever Node (or npm's shim) started this file.
// No type syntax and nothing newer than Node 14 here: an old Node must get as far as the message.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(realpathSync(fileURLToPath(import.meta.url))), '../../..');
const pinned = join(root, 'node_modules/.bin/node');

if (!existsSync(pinned)) {
  console.error(`vkctl: ${root} is not set up: node_modules is missing. Run: make -C ${root} setup`);
  process.exit(1);
} else if (realpathSync(process.execPath) === realpathSync(pinned)) {
  // Half of a short command's time would go into compiling the same modules again.
  const { bundled, compileCache } = await launcher();
  module.enableCompileCache(compileCache());
  await import(bundled(fileURLToPath(new URL('../main.ts', import.meta.url))));
} else {
  reexecute();
}

// Of the bundle, which looks by itself whether that still counts; its source where there is none.
async function launcher() {
  try {
    const { folder } = JSON.parse(readFileSync(join(root, 'build/bundle/current.json'), 'utf8'));
    return await import(join(folder, 'launch.mjs'));
  } catch {
    return await import('../bundle/launch.ts');
  }
}

// What the kernel has as other bytes than UTF-8 of these texts: of them we have only what was put in its place.
function replaced(file, texts) {
  if (!texts.some((text) => text.includes('\ufffd'))) return [];
  const all = readFileSync(file).toString('latin1').split('\0');
  const decoded = all.map((each) => Buffer.from(each, 'latin1').toString());
  return decoded.filter((text, i) => Buffer.from(text).toString('latin1') !== all[i]);
}

function reexecute() {
  // As ./vkctl has it.
  const args = ['--initial-heap-size=256', fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  if (replaced('/proc/self/cmdline', process.argv.slice(2)).length > 0) {
    console.error(
      `vkctl: a word of the command line is not UTF-8, and this Node cannot hand it on. Run: ${join(root, 'vkctl')}`,
    );
    process.exit(2);
  }
  const variables = Object.entries(process.env).filter(([, value]) => value.includes('\ufffd'));
  if (variables.length > 0) {
    const lost = replaced('/proc/self/environ', Object.values(process.env)).map((text) => text.split('=')[0]);
    process.env.ODONATA_REPLACED_VARIABLES = lost.join(',');
  }
  // Same process where this Node can: signals, terminal and exit code need no care then.
  if (typeof process.execve === 'function') process.execve(pinned, [pinned, ...args], process.env);
  const child = spawn(pinned, args, { stdio: 'inherit' });
  // A terminal sends SIGINT and SIGQUIT to both; the child decides what they mean.
  for (const signal of ['SIGINT', 'SIGQUIT']) process.on(signal, () => {});
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']) {
    process.on(signal, () => child.kill(signal));
  }
  child.on('error', (error) => {
    console.error(`vkctl: cannot start ${pinned}: ${error.message}. Run: make -C ${root} setup`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
}
