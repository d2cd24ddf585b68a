// One command, from its words to the end of the process.
import { type Command, CommanderError } from 'commander';
import { expandKillSignal } from './commands/signal-name.ts';
import { EXIT, explainWithFix, Failure, told } from './failure.ts';
import { printError } from './output.ts';
import { RawWords } from './raw-words.ts';

/** Does what the command line says, and exits. @param programOf what knows the command */
export async function runCommand(programOf: () => Command | Promise<Command>): Promise<never> {
  try {
    // `run` looks by itself which of its words may be bytes.
    if (process.argv[2] !== 'run') new RawWords().expectNoMore();
    const program = await programOf();
    await program.parseAsync(expandKillSignal(process.argv));
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
}
