// What the snapshot is made of: Node runs this file once, keeps its heap in a file, and every later start begins where it ended,
// with `start`. So the commands that are typed most are loaded, and what they need is made, before anybody asks.
//
// A snapshot counts only where all is as it was then. Else, vkctl runs as without one.
import { isAsItWas, loaded } from './as-it-was.ts'; // First: see there.
import './jitless.ts'; // Before there is a schema.
import { readFileSync } from 'node:fs';
import Module from 'node:module';
import { dirname, join } from 'node:path';
import { startupSnapshot } from 'node:v8';
import { type FileStamp, isUnchanged } from '@odonata/rpc/bundle.ts';
import '@odonata/client/cluster.ts'; // What commands import when they run.
import type { Command } from 'commander';
import { type Add, programOf } from '../command-line.ts';
import { runCommand } from '../command-run.ts';
import { addExec } from '../commands/exec.ts';
import { addKill } from '../commands/kill.ts';
import { addLogs } from '../commands/logs.ts';
import { addRun } from '../commands/run.ts';
import { addWait } from '../commands/wait.ts';
import { makeReady } from './made-ready.ts';

interface Given {
  /** The script that is started; another one is of another checkout. */
  readonly script: string;
  readonly files: readonly FileStamp[];
}

const COMMANDS: readonly (readonly [name: string, add?: Add])[] = [
  ['run', addRun],
  ['exec', addExec],
  ['kill', addKill],
  ['wait', addWait],
  ['logs', addLogs],
  ['--version'],
];

const { script, files } = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as Given;
const programs = new Map<string | undefined, Command>(
  COMMANDS.map(([name, add]) => [name, programOf(add === undefined ? [] : [add])]),
);
makeReady(join(dirname(script), '../package.json'));
loaded();
startupSnapshot.setDeserializeMainFunction(start);

/** Of ./vkctl, and for the start alone. */
const TUNED = 'glibc.malloc.hugetlb=1';

function start(): void {
  if (process.env.GLIBC_TUNABLES === TUNED) delete process.env.GLIBC_TUNABLES;
  const program = programs.get(process.argv[2]);
  if (program !== undefined && isCurrent()) void runCommand(() => program);
  // As if there were no snapshot.
  else Module.runMain();
}

const isCurrent = (): boolean =>
  process.env.ODONATA_BUNDLE !== 'off' &&
  process.argv[1] === script &&
  isAsItWas() &&
  files.every(isUnchanged);
