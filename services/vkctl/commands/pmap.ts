import { nodeOfPid } from '@odonata/client/process-id.ts';
import { Code } from '@odonata/rpc/error.ts';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { EXIT, Failure, hasCode } from '../failure.ts';
import { printJson } from '../json.ts';
import { say } from '../output.ts';
import { type ClusterOption, clusterOption, examples, jsonOption, quietOption } from './options.ts';
import { forEachPid, parsePid } from './pid.ts';

interface FlushOptions extends ClusterOption {
  vkernel?: string;
  node?: string;
  json?: boolean;
}

/** How long a node may take: each page of a dataspace is unmapped and kept. */
const FLUSH_MS = 120_000;

export function addPmap(program: Command): void {
  const pmap = program
    .command('pmap')
    .summary('page tables of processes')
    .description('Page tables of processes, which a node may drop at any time.');
  examples(pmap, [['vkctl pmap flush 100001', 'one process']]);
  const command = pmap
    .command('flush')
    .summary('empty the page tables of processes')
    .usage('[options] [pid...]')
    .description(
      'Empties the page tables of processes: their pages keep their frames, and the next touch of each faults. Programs ' +
        'notice nothing but the time that takes. One of: pids, --vkernel, --node.',
    )
    .argument('[pid...]', 'as "vkctl ps" shows them')
    .option('--vkernel <name>', 'of all processes of a virtual kernel, on whatever node; NAME or OWNER/NAME')
    .option('--node <name>', 'of all processes of a node')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(flush);
  examples(command, [
    ['vkctl pmap flush 100001', 'one process'],
    ['vkctl pmap flush --vkernel default', 'a virtual kernel'],
    ['vkctl pmap flush --node node1', 'a node'],
  ]);
}

async function flush(pids: string[], options: FlushOptions): Promise<void> {
  const targets = pids.map(parsePid);
  const { vkernel, node } = options;
  if ([targets.length > 0, vkernel !== undefined, node !== undefined].filter(Boolean).length !== 1)
    throw new Failure('give pids, or --vkernel, or --node', {
      exitCode: EXIT.usage,
      fix: 'vkctl ps lists processes, vkctl status nodes.',
    });
  await withCluster(options, async ({ connection }) => {
    const flushed: { node: string; vmspaces: number; sharedPages: number; privatePages: number }[] = [];
    type Whose =
      | { case: 'pid'; value: bigint }
      | { case: 'vkernel'; value: string }
      | { case: 'node'; value: true };
    const ask = async (at: string, whose: Whose): Promise<void> => {
      const { vmspaces, sharedPages, privatePages } = await connection
        .vmspaces(at)
        .flushPmaps({ whose }, { deadlineMs: FLUSH_MS });
      const pages = { sharedPages: Number(sharedPages), privatePages: Number(privatePages) };
      flushed.push({ node: at, vmspaces, ...pages });
    };
    if (node !== undefined) await ask((await connection.node(node)).name, { case: 'node', value: true });
    await forEachPid(targets, async (pid) => {
      await ask(await nodeOfPid(connection, pid), { case: 'pid', value: pid });
    });
    if (vkernel !== undefined) {
      for (const { name } of await connection.nodes()) {
        try {
          await ask(name, { case: 'vkernel', value: vkernel });
        } catch (error) {
          if (!hasCode(error, Code.NotFound)) throw error;
        }
      }
      if (flushed.length === 0)
        throw new Failure(`no virtual kernel "${vkernel}" runs a process`, {
          fix: 'List them with: vkctl ps',
        });
    }
    if (options.json) printJson(flushed);
    else
      for (const { node: at, vmspaces, sharedPages, privatePages } of flushed)
        say(
          `${at}: emptied the page tables of ${vmspaces} ${vmspaces === 1 ? 'process' : 'processes'}: ${privatePages} private and ${sharedPages} shared pages`,
        );
  });
}
