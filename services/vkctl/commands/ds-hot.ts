// Who fights over which pages of a dataspace: vkctl ds hot.
import type { HotPage, HotPageUser } from '@odonata/client/hot-pages.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { explain } from '../failure.ts';
import { printJson } from '../json.ts';
import { print, printError, printNames, say } from '../output.ts';
import { type Column, table } from '../table.ts';
import { type WatchOption, watchable, watched } from '../watch.ts';
import { type ClusterOption, examples, type QuietOption, wholeNumber } from './options.ts';

interface HotOptions extends ClusterOption, QuietOption, WatchOption {
  pages: number;
}

const PAGES = 10;
const PAGES_MAX = 256;
/** Words of one process, in a table. */
const SPANS_SHOWN = 3;

export function addHot(command: (usage: string, summary: string, description: string) => Command): void {
  const hot = watchable(
    command(
      'hot <name>',
      'its pages that nodes fight over',
      'Lists the pages that nodes had to get from each other most often in the last half to whole minute: for which processes, ' +
        'whether these read or write, which bytes their faults were for, and how long they waited. Pages that several ' +
        'processes write, each its own bytes, are false sharing: put what each of them writes into pages of its own. A fault ' +
        'tells its first bytes only, and programs of one node share a page without any.',
    ),
  )
    .option('-n, --pages <number>', 'at most so many', wholeNumber(1, PAGES_MAX), PAGES)
    .action((name: string, options: HotOptions) => watched(options, () => hotOnce(name, options)));
  examples(hot, [
    ['vkctl ds hot text', 'the ten hottest'],
    ['vkctl ds hot text --watch', 'again every 2 s'],
    ['vkctl ds hot text --json | jq \'.[] | select(.sharing == "false") | .page\'', 'false sharing only'],
  ]);
}

async function hotOnce(name: string, options: HotOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces }) => {
    const { pages, silent } = await dataspaces.hot(name, { max: options.pages });
    if (options.json) printJson(pages.map(plain));
    else if (options.quiet) printNames(pages.map(({ page }) => `${page}`));
    else if (pages.length > 0) print(table(COLUMNS, pages.map(row)));
    else
      say(
        `${name}: nothing is fought over: in the last half minute no program waited for a page of it that another node had`,
      );
    for (const { node, error } of silent)
      printError(`vkctl: what ${node} counted is missing: ${explain(error)}`);
    if (silent.length > 0) process.exitCode = 1;
  });
}

const COLUMNS: Column[] = [
  { head: 'PAGE', align: 'right' },
  { head: 'BYTES' },
  { head: 'NAMES', flex: true },
  { head: 'FAULTS/S', align: 'right' },
  { head: 'WAIT ms/s', align: 'right' },
  { head: 'SHARING' },
  { head: 'WHO', flex: true },
];

const row = (hot: HotPage) => [
  hot.page,
  `${hot.page * PAGE_BYTES}+${PAGE_BYTES}`,
  hot.names.join(', ') || '-',
  hot.faultsPerSecond.toFixed(1),
  hot.waitedMsPerSecond.toFixed(1),
  hot.sharing === 'unknown' ? '?' : hot.sharing,
  hot.users.map(who).join('; '),
];

/** `100001 at node1 writes 0-7, 64-71` */
function who({ node, pid, write, bytes }: HotPageUser): string {
  const spans = bytes.slice(0, SPANS_SHOWN).map(([begin, end]) => `${begin}-${end - 1}`);
  const more = bytes.length - spans.length;
  const where = [...spans, ...(more > 0 ? [`${more} more`] : [])].join(', ');
  return `${pid === 0n ? 'somebody' : pid} at ${node} ${write ? 'writes' : 'reads'} ${where}`.trimEnd();
}

const plain = ({ users, ...hot }: HotPage) => ({
  ...hot,
  users: users.map(({ pid, bytes, ...user }) => ({
    ...user,
    pid,
    bytes: bytes.map(([begin, end]) => ({ begin, end })),
  })),
});
