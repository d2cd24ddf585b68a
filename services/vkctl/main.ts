// Entry of vkctl, under the pinned Node (bin/vkctl.js sees to that).
import { runCommand } from './command-run.ts';
import { createProgram } from './program.ts';

await runCommand(() => createProgram(process.argv[2]));
