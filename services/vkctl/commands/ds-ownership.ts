// Whose dataspaces are: vkctl ds chmod, vkctl ds chown.
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { explain } from '../failure.ts';
import { printJson } from '../json.ts';
import { printError, say } from '../output.ts';
import { parseMode, parseOwner, shownMode, shownOwner } from '../ownership.ts';
import { recordJson } from './ds-json.ts';
import { type ClusterOption, examples } from './options.ts';

interface OwnershipOptions extends ClusterOption {
  json?: boolean;
  group?: string;
}

interface Wanted {
  owner?: string;
  group?: string;
  mode?: number;
}

export function addOwnership(
  command: (usage: string, summary: string, description: string) => Command,
): void {
  const chmod = command(
    'chmod <mode> <name...>',
    'change who may read and write some',
    'Changes who may read and write dataspaces: digits of the owner, the group and others, as of chmod(1). Programs that ' +
      'have them open keep what they had. For the owner and admins.',
  );
  chmod
    .option('--group <name>', 'and the group, one of yours; empty: none')
    .action((mode: string, names: string[], options: OwnershipOptions) =>
      change(
        names,
        { mode: parseMode(mode), ...(options.group !== undefined && { group: options.group }) },
        options,
      ),
    );
  examples(chmod, [
    ['vkctl ds chmod 640 text --group physics', 'the group may read it'],
    ['vkctl ds chmod 666 board', 'everybody may write it'],
  ]);
  const chown = command(
    'chown <owner> <name...>',
    'change whose some are',
    'Changes whose dataspaces are: OWNER, OWNER:GROUP or :GROUP. Another owner is for admins.',
  );
  chown.action((owner: string, names: string[], options: OwnershipOptions) =>
    change(names, parseOwner(owner), options),
  );
  examples(chown, [['vkctl ds chown bob:physics text', 'it is of bob, and of the group physics']]);
}

async function change(names: string[], wanted: Wanted, options: OwnershipOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces }) => {
    // As chmod(1) does: one that cannot be changed keeps no other one.
    const failed: unknown[] = [];
    const changed = [];
    for (const name of names) {
      try {
        changed.push((await dataspaces.own(name, wanted))!);
      } catch (error) {
        failed.push(error);
      }
    }
    if (options.json) printJson(changed.map(recordJson));
    else
      for (const dataspace of changed)
        say(`${dataspace.name}: ${shownOwner(dataspace)}, mode ${shownMode(dataspace.mode)}`);
    for (const error of failed.slice(1)) printError(`vkctl: ${explain(error)}`);
    if (failed.length > 0) throw failed[0];
  });
}
