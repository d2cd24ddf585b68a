// `npm run soak`: does a cluster give back what work took? README.md says what is done and measured.
import { parseArgs } from 'node:util';
import { EXIT, explain } from '../../services/vkctl/failure.ts';
import { Progress } from '../bench/progress.ts';
import { reportText, soak } from './soak.ts';

const HELP = `Runs, floods and kills programs for a while, and checks that services then hold no more than before.

Usage: npm run soak -- [--minutes M] [--nodes N]

  --minutes  how long; 10 where it is missing
  --nodes    nodes of the cluster; 2

Example: npm run soak -- --minutes 60

Exit codes: 0 all came back within a fifth, 1 something did not or a program ended wrong, 2 wrong usage.`;

function options(argv: string[]): { minutes: number; nodes: number } | undefined {
  const { values } = parseArgs({
    args: argv,
    options: { minutes: { type: 'string' }, nodes: { type: 'string' }, help: { type: 'boolean' } },
  });
  if (values.help) return undefined;
  const number = (name: 'minutes' | 'nodes', missing: number, least: number, most: number): number => {
    const value = Number(values[name] ?? missing);
    if (value >= least && value <= most) return value;
    throw new Error(`--${name}: "${values[name]}" is not a number from ${least} to ${most}`);
  };
  return { minutes: number('minutes', 10, 0.05, 10_000), nodes: Math.round(number('nodes', 2, 1, 16)) };
}

let chosen: ReturnType<typeof options>;
try {
  chosen = options(process.argv.slice(2));
} catch (error) {
  console.error(`soak: ${(error as Error).message}`);
  process.exit(EXIT.usage);
}
if (chosen === undefined) {
  console.log(HELP);
  process.exit(EXIT.ok);
}
const progress = new Progress();
try {
  const report = await soak({ ...chosen, onProgress: (what) => progress.show(what) });
  progress.clear();
  console.log(reportText(report));
  process.exit(report.grown.length === 0 ? EXIT.ok : EXIT.failed);
} catch (error) {
  progress.clear();
  console.error(`soak: ${explain(error)}`);
  process.exit(EXIT.failed);
}
