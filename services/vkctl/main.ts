// Entry of vkctl, under the pinned Node (bin/vkctl.js sees to that).
import { CommanderError } from 'commander';
import { expandKillSignal } from './commands/kill.ts';
import { EXIT, explainWithFix, Failure, told } from './failure.ts';
import { printError } from './output.ts';
import { createProgram } from './program.ts';

try {
  await createProgram().parseAsync(expandKillSignal(process.argv));
} catch (thrown) {
  const error = told(thrown);
  if (error instanceof CommanderError) {
    // Commander has said what it has to say; help and version are no errors.
    process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage);
  }
  printError(`vkctl: ${explainWithFix(error)}`);
  process.exit(error instanceof Failure ? error.exitCode : EXIT.failed);
}
process.exit(process.exitCode ?? EXIT.ok);
