import type { Cluster } from '@odonata/client/cluster.ts';
import type { JoinToken } from '@odonata/proto/door/v1/door';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withCluster } from '../connection.ts';
import { printJson } from '../json.ts';
import { print, printNames, say } from '../output.ts';
import { durationMs } from '../service-file/duration.ts';
import { table } from '../table.ts';
import { withDoor } from './node-door.ts';
import {
  type ClusterOption,
  clusterOption,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
  wholeNumber,
} from './options.ts';

const DEFAULT_MS = 3_600_000;
const LONGEST_MS = 7 * 24 * 3_600_000;

/** A token that was just made: it is never told again. */
export interface NewToken {
  readonly token: string;
  readonly id: string;
  readonly command: string;
  readonly address: string;
  readonly untilMs: number;
  readonly uses: number;
}

interface AddOptions extends ClusterOption {
  ttl: number;
  uses: number;
  json?: boolean;
}

export function addNodeToken(node: Command): void {
  const token = node
    .command('token')
    .summary('tokens by which machines join')
    .description(
      'Tokens by which machines may join: short-lived, for a few machines, and kept as hashes only.',
    );
  examples(token, [
    ['vkctl node token add', 'prints the command for one machine, within an hour'],
    ['vkctl node token ls', 'those that still count'],
  ]);
  const add = token
    .command('add')
    .summary('make one')
    .description(
      'Makes a token and prints the command for the machine that is to join. It is said once: whoever has it may make a machine a node.',
    )
    .addOption(
      new Option('--ttl <span>', 'how long it counts, as 10m or 2h, a week at most')
        .argParser(span)
        .default(DEFAULT_MS, '1h'),
    )
    .option('--uses <count>', 'how many machines it lets in', wholeNumber(1, 64), 1)
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print the token only'))
    .action(addOne);
  examples(add, [
    ['vkctl node token add --ttl 10m', 'for one machine, right now'],
    ['vkctl node token add --uses 5 -q', 'the token alone, for a script'],
  ]);
  const ls = token
    .command('ls')
    .summary('those that still count')
    .description('Lists the tokens that still let a machine in.')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print ids only'))
    .action(list);
  examples(ls, [['vkctl node token ls --json | jq -r ".[].id"', 'for a program']]);
  const rm = token
    .command('rm')
    .summary('take some back')
    .description('Takes tokens back: they let nobody in any more. Machines that came in by them stay.')
    .argument('<ids...>', 'as "vkctl node token ls" shows them')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(remove);
  examples(rm, [['vkctl node token rm 1f00ab34cd56', 'one that got into wrong hands']]);
}

function span(text: string): number {
  const ms = durationMs(text);
  if (ms !== undefined && ms >= 1_000 && ms <= LONGEST_MS) return ms;
  throw new InvalidArgumentError(`"${text}" is no span of 1s to 168h, as 10m or 2h.`);
}

export async function makeToken(
  { connection }: Pick<Cluster, 'connection'>,
  { uses, ttlMs }: { uses: number; ttlMs: number },
): Promise<NewToken> {
  const { token, kept, address } = await withDoor(() =>
    connection.door().makeToken({ ttlMs: BigInt(ttlMs), uses }),
  );
  return {
    ...{ token, id: kept?.id ?? '', command: `vkctl join ${address} --token ${token}`, address },
    ...{ untilMs: Number(kept?.untilMs ?? 0n), uses },
  };
}

async function addOne(options: AddOptions & QuietOption): Promise<void> {
  const made = await withCluster(options, (cluster) =>
    makeToken(cluster, { uses: options.uses, ttlMs: options.ttl }),
  );
  if (options.json) return printJson(made);
  if (options.quiet) return print(made.token);
  say(`until ${new Date(made.untilMs).toISOString()}, uses: ${made.uses}; said once, id ${made.id}:`);
  print(made.command);
}

const plain = ({ id, by, madeMs, untilMs, usesLeft }: JoinToken) => ({
  ...{ id, by, usesLeft },
  ...{ madeMs: Number(madeMs), untilMs: Number(untilMs) },
});

async function list(options: ClusterOption & QuietOption & { json?: boolean }): Promise<void> {
  const { tokens } = await withCluster(options, ({ connection }) =>
    withDoor(() => connection.door().listTokens({})),
  );
  if (options.json) return printJson(tokens.map(plain));
  if (options.quiet) return printNames(tokens.map(({ id }) => id));
  const heads = ['ID', 'BY', 'MADE', 'UNTIL'].map((head) => ({ head }));
  const time = (ms: bigint): string => new Date(Number(ms)).toISOString().slice(0, 19);
  print(
    table(
      [...heads, { head: 'USES LEFT', align: 'right' }],
      tokens.map(({ id, by, madeMs, untilMs, usesLeft }) => [id, by, time(madeMs), time(untilMs), usesLeft]),
    ),
  );
}

async function remove(ids: string[], options: ClusterOption & { json?: boolean }): Promise<void> {
  await withCluster(options, async ({ connection }) => {
    for (const id of ids) await withDoor(() => connection.door().revokeToken({ id }));
  });
  if (options.json) return printJson(ids.map((id) => ({ id, removed: true })));
  for (const id of ids) say(`token ${id} lets nobody in any more`);
}
