import { readFileSync } from 'node:fs';
import { contextInUse } from '@odonata/client/local/contexts.ts';
import type { Command } from 'commander';
import {
  type Context,
  HERE,
  identityIn,
  keepContext,
  listContexts,
  parseContext,
  removeContext,
  setContextInUse,
} from '../context/context.ts';
import { Failure, reasonOf } from '../failure.ts';
import { printJson } from '../json.ts';
import { print, printNames, routersAt, say } from '../output.ts';
import { table } from '../table.ts';
import { type WatchOption, watchable, watched } from '../watch.ts';
import { examples, jsonOption, type QuietOption, quietOption } from './options.ts';

interface JsonOption {
  json?: boolean;
}

interface ListOptions extends QuietOption, WatchOption {}

export function addContext(program: Command): void {
  const context = program
    .command('context')
    .summary('clusters elsewhere, and who one is there')
    .description(
      'Clusters that run elsewhere. The one in use is what commands mean, but for up, down, restart, doctor, user and token, which are for clusters of this machine; -c and ODONATA_CLUSTER name one of this machine all the same.',
    );
  examples(context, [
    ['vkctl context add alice.context', 'kept under the name of its cluster, and used from now on'],
    ['vkctl context ls', 'with who one is in each'],
    ['vkctl context use here', 'clusters of this machine again'],
    ['ODONATA_CONTEXT=prod vkctl ps', 'another one for one command'],
  ]);
  const addTo = context
    .command('add')
    .summary('keep a context')
    .description('Keeps what "vkctl user add" wrote, and uses it from now on.')
    .argument('<file>', 'a context file; -: standard input')
    .option('--name <name>', 'under which it is kept; else that of its cluster')
    .option('--no-use', 'keep it only')
    .option('--replace', 'in the place of one of that name')
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(add);
  examples(addTo, [
    ['vkctl context add alice.context', 'then remove that file: the key in it is yours'],
    ['vkctl context add alice.context --name lab --no-use', 'beside others, for ODONATA_CONTEXT=lab'],
  ]);
  const ls = context
    .command('ls')
    .summary('list them')
    .description('Lists the contexts; * is the one in use.')
    .addOption(jsonOption())
    .addOption(quietOption('print names only'))
    .action((options: ListOptions) => watched(options, async () => list(options)));
  watchable(ls);
  examples(ls, [["vkctl context ls --json | jq -r '.[] | select(.current).identity'", 'who one is']]);
  const useOne = context
    .command('use')
    .summary('use another one')
    .description('From now on commands mean this one.')
    .argument('<name>', `as "vkctl context ls" shows it; ${HERE}: clusters of this machine`)
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(use);
  examples(useOne, [
    ['vkctl context use prod', 'a cluster elsewhere'],
    [`vkctl context use ${HERE}`, 'clusters of this machine'],
  ]);
  const rm = context
    .command('rm')
    .summary('forget one')
    .description('Forgets a context, with its key.')
    .argument('<name>', 'as "vkctl context ls" shows it')
    .addOption(jsonOption())
    .addOption(quietOption())
    .action((name: string, options: JsonOption) => {
      removeContext(name);
      if (options.json) printJson({ name, removed: true });
      else say(`context ${name} is forgotten`);
    });
  examples(rm, [['vkctl context rm prod', 'to come back takes the file, or a new one of an admin']]);
}

interface AddOptions extends JsonOption {
  name?: string;
  use: boolean;
  replace?: boolean;
}

function add(file: string, options: AddOptions): void {
  const from = file === '-' ? 'standard input' : file;
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new Failure(`cannot read ${from}: ${reasonOf(error)}`, { cause: error });
  }
  const given = parseContext(text, from);
  const kept = keepContext(options.name ?? given.cluster, given, options.replace ?? false);
  if (options.use) setContextInUse(kept.name);
  if (options.json) {
    printJson(shown(kept));
    return;
  }
  say(`context ${kept.name}: cluster "${kept.cluster}", ${routersAt(kept.syslink)}, as ${identityIn(kept)}`);
  if (options.use) say(`in use; back with: vkctl context use ${HERE}`);
}

const untilOf = ({ folder }: Context): string =>
  folder.identity.certificate.validToDate.toISOString().slice(0, 10);

function shown(context: Context) {
  const { name, cluster, syslink } = context;
  const identity = identityIn(context);
  return { name, cluster, syslink, identity, until: untilOf(context), current: name === contextInUse() };
}

function list({ json: asJson, quiet }: ListOptions): void {
  const contexts = listContexts();
  const current = contextInUse();
  if (asJson) {
    printJson(contexts.map(shown));
    return;
  }
  if (quiet) {
    printNames(contexts.map(({ name }) => name));
    return;
  }
  if (contexts.length === 0) {
    print('no contexts; add one with: vkctl context add FILE');
    return;
  }
  const rows = contexts.map((each) => [
    ...[each.name === current ? '*' : '', each.name, each.cluster, each.syslink],
    ...[identityIn(each), untilOf(each)],
  ]);
  print(
    table(
      ['', 'NAME', 'CLUSTER', 'ROUTERS', 'AS', 'UNTIL'].map((head) => ({ head, flex: head === 'ROUTERS' })),
      rows,
    ),
  );
}

function use(name: string, options: JsonOption): void {
  setContextInUse(name === HERE ? undefined : name);
  if (options.json) {
    printJson(name === HERE ? {} : { current: name });
    return;
  }
  say(name === HERE ? 'clusters of this machine' : `context ${name}`);
}
