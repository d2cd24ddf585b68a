// npm run model: the protocol's model, checked in every configuration, as a table.
import { parseArgs } from 'node:util';
import { CONFIGURATIONS, type Configuration, MUTANTS, OPEN } from './configurations.ts';
import { check, type Verdict } from './spin.ts';

const HELP = `Usage: npm run model -- [--all] [--json] [NAME...]

Checks the Promela model of the coherency protocol with spin.

  --all    also the configurations that take minutes
  --json   one JSON array instead of the table
  NAME     only these configurations or mutants

Examples:
  npm run model
  npm run model -- stream-breaks NO_LEASE
  npm run model -- --all --json

Exit codes: 0 all as expected, 1 a verdict is not as expected or a search did not finish, 2 wrong usage.`;

const HEAD = 'CONFIGURATION             STATES  DEPTH  MEMORY MiB   TIME s  VERDICT  EXPECTED';

function line(v: Verdict, expected: string): string {
  const cells = [
    v.name.padEnd(22),
    String(v.states).padStart(9),
    String(v.depth).padStart(6),
    v.memoryMiB.toFixed(0).padStart(11),
    v.seconds.toFixed(1).padStart(8),
  ];
  return `${cells.join(' ')}  ${v.verdict.padEnd(7)}  ${expected}`;
}

function chosen(names: string[], all: boolean): Configuration[] {
  const every = [...CONFIGURATIONS, ...MUTANTS, ...OPEN];
  const unknown = names.find((name) => !every.some((c) => c.name === name));
  if (unknown !== undefined) {
    console.error(`no configuration ${unknown}; there are: ${every.map((c) => c.name).join(' ')}`);
    process.exit(2);
  }
  return every.filter((c) => (names.length > 0 ? names.includes(c.name) : all || !c.long));
}

function usage(): { values: { all?: boolean; json?: boolean; help?: boolean }; positionals: string[] } {
  const options = { all: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean' } } as const;
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    process.exit(2);
  }
}

const { values, positionals } = usage();
if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const verdicts: (Verdict & { expected: string })[] = [];
let asExpected = true;
if (!values.json) console.log(HEAD);
for (const configuration of chosen(positionals, values.all ?? false)) {
  try {
    const verdict = await check(configuration);
    verdicts.push({ ...verdict, expected: configuration.expect });
    if (!values.json) console.log(line(verdict, configuration.expect));
    if (verdict.verdict !== configuration.expect) asExpected = false;
  } catch (error) {
    console.error(`${configuration.name}: ${(error as Error).message}`);
    asExpected = false;
  }
}
if (values.json) console.log(JSON.stringify(verdicts, null, 2));
process.exitCode = asExpected ? 0 : 1;
