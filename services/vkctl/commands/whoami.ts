import { formatIdentity, nameOfRole } from '@odonata/rpc/identity/identity.ts';
import type { Command } from 'commander';
import { elsewhere, withCluster } from '../connection.ts';
import { printJson } from '../json.ts';
import { print } from '../output.ts';
import {
  type ClusterOption,
  clusterOption,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
} from './options.ts';

export function addWhoami(program: Command): void {
  const command = program
    .command('whoami')
    .summary('who you are in the cluster')
    .description(
      'Who the cluster takes you for: by whose certificate you come in, in which role, until when.',
    )
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print the name only'))
    .action(whoami);
  examples(command, [
    ['vkctl whoami', 'user alice of cluster prod, by context prod'],
    ["vkctl whoami --json | jq -r '.groups[]'", 'the groups that you are in'],
  ]);
}

async function whoami(options: ClusterOption & QuietOption & { json?: boolean }): Promise<void> {
  await withCluster(options, async ({ connection, name }) => {
    const by = elsewhere(options.cluster)?.by;
    const { identity } = connection;
    if (identity === undefined) {
      if (options.json) return printJson({ cluster: name, role: 'admin', name: 'anyone', groups: [], by });
      if (options.quiet) return print('anyone');
      return print(`anyone: cluster "${name}" has no identities, and everybody may do everything in it`);
    }
    const { role, name: who, groups, cluster } = identity.caller;
    const until = identity.certificate.validToDate.toISOString().slice(0, 10);
    if (options.json) {
      const about = { cluster, role: nameOfRole(role), name: who, groups, until, by };
      return printJson({ ...about, identity: formatIdentity(identity.caller) });
    }
    if (options.quiet) return print(who);
    const of = [
      groups.length > 0 ? `groups ${groups.join(', ')}` : 'in no group',
      `until ${until}`,
      by === undefined ? 'who started it on this machine' : `by ${by}`,
    ];
    print(`${nameOfRole(role)} ${who} of cluster "${cluster}": ${of.join('; ')}`);
  });
}
