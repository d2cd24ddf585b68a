import { closeSync, existsSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { routersOf } from '@odonata/client/location.ts';
import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { PERSON } from '@odonata/rpc/identity/identity.ts';
import { type Command, Option } from 'commander';
import { PERSON_ROLES, type Person, type PersonRole } from '../cluster/people.ts';
import { withCluster } from '../connection.ts';
import type { ContextFile } from '../context/context.ts';
import { EXIT, Failure, reasonOf } from '../failure.ts';
import { printJson } from '../json.ts';
import { plural, print, printNames, say } from '../output.ts';
import { table } from '../table.ts';
import { type WatchOption, watchable, watched } from '../watch.ts';
import {
  type ClusterOption,
  clusterOption,
  collect,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
  wholeNumber,
} from './options.ts';
import { type People, type Whom, withPeople } from './user-people.ts';

const DEFAULT_DAYS = 365;

interface AddOptions extends ClusterOption {
  role: PersonRole;
  group?: string[];
  days: number;
  syslink?: string;
  out?: string;
  inherit?: boolean;
  json?: boolean;
}

interface ListOptions extends ClusterOption, QuietOption, WatchOption {}

export function addUser(program: Command): void {
  const user = program
    .command('user')
    .summary('who may come into a cluster')
    .description(
      'The people of a cluster: who has a certificate, in which role. From another machine an admin asks the door of the cluster ("up --address").',
    );
  examples(user, [
    ['vkctl user add alice', 'writes alice.context, for her "vkctl context add"'],
    ['vkctl user ls', 'who is in'],
    ['vkctl user rm alice', 'whose certificate counts no more'],
  ]);
  const add = user
    .command('add')
    .summary('let somebody in')
    .description(
      'Makes a certificate for somebody, and writes it with all that they need to come in into a file. Hand that over by a safe way: whoever has it is them. For admins.',
    )
    .argument('<name>', 'of the person: 1 to 32 of a-z 0-9 _ -')
    .addOption(
      new Option('--role <role>', 'what they may do; see docs/access.md')
        .choices(PERSON_ROLES)
        .default('user'),
    )
    .option('--group <name>', 'a group that they are in (repeatable)', collect)
    .option('--days <count>', 'how long it counts', wholeNumber(1, 3_650), DEFAULT_DAYS)
    .option(
      '--syslink <addresses>',
      'where they reach the routers, host:port with commas between; else as this machine does',
    )
    .option('--out <file>', 'where to write it; else NAME.context')
    .option('--inherit', 'they are who had that name before, or get what those left')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(addOne);
  examples(add, [
    ['vkctl user add alice --group physics', 'a user, who sees what is theirs'],
    ['vkctl user add olga --role operator --days 30', 'runs the cluster for a month'],
    ['vkctl user add bob --syslink cluster.example.org:7411', 'for another machine'],
  ]);
  const ls = user
    .command('ls')
    .summary('who is in')
    .description('Lists the people of the cluster. For admins.')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print names only'))
    .action((options: ListOptions) => watched(options, () => list(options)));
  watchable(ls);
  examples(ls, [
    ['vkctl user ls', 'also who was removed, and whose time is over'],
    ["vkctl user ls --json | jq -r '.[].name'", 'for a program'],
  ]);
  const rm = user
    .command('rm')
    .summary('let somebody in no more')
    .description('From now on their certificate counts no more. What they run and have stays. For admins.')
    .argument('<name>', 'as "vkctl user ls" shows it')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(remove);
  examples(rm, [
    ['vkctl user rm alice', 'what she runs goes on: vkctl ps shows it, vkctl kill ends it'],
    [
      'vkctl user rm alice && vkctl user add alice --inherit --out new.context',
      'a new certificate in the place of one that got lost; alice.context may be there still',
    ],
  ]);
}

async function addOne(name: string, options: AddOptions): Promise<void> {
  for (const each of [name, ...(options.group ?? [])]) {
    if (PERSON.test(each)) continue;
    throw new Failure(`"${each}" is no name of a person or group`, {
      fix: 'Use 1 to 32 of a-z, 0-9, _ and -, starting with a letter or _.',
      exitCode: EXIT.usage,
    });
  }
  const elsewhere = options.syslink === undefined ? undefined : routersOf(options.syslink, '--syslink');
  const file = options.out ?? `${name}.context`;
  if (existsSync(file))
    throw new Failure(`${file} is there already`, { fix: 'Remove it, or choose another with --out.' });
  const before = await leftBy(name, options);
  const owns = before?.dataspaces ?? [];
  const { role, group: groups = [], days } = options;
  const { person, cluster } = await withPeople(options, async (people) => {
    const { people: all } = await people.list();
    const wasIn = all.some((each) => each.name === name);
    if (!options.inherit) expectNothingLeft(name, before, wasIn);
    const added = await addInto(file, people, { name, role, groups, days }, elsewhere);
    return { person: added, cluster: people.cluster };
  });
  if (options.json) return printJson({ ...person, file, owns });
  say(`${role} ${name} is let into cluster "${cluster}" for ${days} days, by ${file}`);
  say(`on their machine: vkctl context add ${file}`);
  if (owns.length > 0) say(`of an earlier ${name}, and theirs now: ${namesText(owns)}`);
}

/** The file first: where there is no place for it, nobody is let in. */
async function addInto(
  file: string,
  people: People,
  whom: Whom,
  routers: string | undefined,
): Promise<Person> {
  const fd = opened(file);
  try {
    const { person, credential } = await people.add(whom);
    const { cluster, syslink } = people;
    const context: ContextFile = { version: 1, cluster, syslink: routers ?? syslink, ...credential };
    try {
      writeFileSync(fd, `${JSON.stringify(context, undefined, 2)}\n`);
    } catch (error) {
      await people.remove(whom.name);
      throw notWritten(file, error);
    }
    return person;
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

function opened(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch (error) {
    throw notWritten(file, error);
  }
}

const notWritten = (file: string, cause: unknown): Failure =>
  new Failure(`cannot write ${file}: ${reasonOf(cause)}`, { fix: 'Choose another with --out.', cause });

async function list(options: ListOptions): Promise<void> {
  const { people, starter: admin, startedMs } = await withPeople(options, (all) => all.list());
  if (options.json) return printJson(people);
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
  const rowOf = ({ name, role, groups, sinceMs, untilMs, removedMs }: Person): string[] => [
    ...[name, role, groups.join(',') || '-', day(sinceMs)],
    removedMs !== undefined
      ? `removed ${day(removedMs)}`
      : untilMs < Date.now()
        ? `over ${day(untilMs)}`
        : day(untilMs),
  ];
  const starter = [admin, 'admin', '-', day(startedMs), 'the cluster ends'];
  const heads = ['NAME', 'ROLE', 'GROUPS', 'SINCE', 'UNTIL'].map((head) => ({ head }));
  if (options.quiet) return printNames([admin, ...people.map(({ name }) => name)]);
  print(table(heads, [starter, ...people.map(rowOf)]));
}

async function remove(name: string, options: ClusterOption & { json?: boolean }): Promise<void> {
  const { person, cluster } = await withPeople(options, async (people) => ({
    person: await people.remove(name),
    cluster: people.cluster,
  }));
  const owns = (await leftBy(name, options))?.dataspaces ?? [];
  if (options.json) return printJson({ ...person, owns });
  const { role } = person;
  say(`${role} ${name} is let into cluster "${cluster}" no more`);
  if (owns.length > 0)
    say(
      `what they had stays theirs: ${namesText(owns)}; to give it to somebody: vkctl ds chown OWNER NAME ...`,
    );
}

const NAMES_SHOWN = 5;
const namesText = (names: readonly string[]): string =>
  `${plural(names.length, 'dataspace')} (${names.slice(0, NAMES_SHOWN).join(', ')}${names.length > NAMES_SHOWN ? ', ...' : ''})`;

interface Left {
  dataspaces: string[];
  pids: string[];
  /** Every node told its processes. */
  whole: boolean;
}

/** What there is of a person; undefined where the cluster does not tell, which keeps nobody from being put out. */
const leftBy = (person: string, options: ClusterOption): Promise<Left | undefined> =>
  withCluster(options, async ({ dataspaces, programs }) => {
    const records = await dataspaces.records();
    const { processes, silent } = await programs.list();
    return {
      dataspaces: records.filter(({ owner }) => owner === person).map(({ name }) => name),
      pids: processes
        .filter(({ user, state }) => user === person && state !== ProcessState.EXITED)
        .map(({ pid }) => String(pid)),
      whole: silent.length === 0,
    };
  }).catch(() => undefined);

/** A name is given again only where nothing is left of who had it, or by the word of an admin. @throws Failure */
function expectNothingLeft(name: string, left: Left | undefined, wasIn: boolean): void {
  if (wasIn && !left?.whole)
    throw new Failure(`the cluster does not tell whether something is left of an earlier ${name}`, {
      fix: 'Try again when all of it runs (vkctl status), or add --inherit: what is left is theirs then.',
    });
  const { dataspaces, pids } = left ?? { dataspaces: [], pids: [] };
  const what = [
    ...(dataspaces.length > 0 ? [namesText(dataspaces)] : []),
    ...(pids.length > 0
      ? [
          `${pids.length === 1 ? 'a process' : `${pids.length} processes`} (${pids.slice(0, NAMES_SHOWN).join(', ')})`,
        ]
      : []),
  ];
  if (what.length === 0) return;
  throw new Failure(`an earlier ${name} left ${what.join(' and ')}, which would be theirs`, {
    fix: 'If that is right, add --inherit. Else give it to somebody (vkctl ds chown OTHER NAME ...), end it (vkctl kill PID), or choose another name.',
  });
}
