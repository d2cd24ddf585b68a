// What is known of dataspaces: vkctl ds ls, vkctl ds stat.
import type { DataspaceDetail } from '@odonata/client/dataspace-detail.ts';
import type { Dataspaces } from '@odonata/client/dataspaces.ts';
import { shownHolder } from '@odonata/coherency/gateway.ts';
import { pageCountOf } from '@odonata/coherency/page.ts';
import type { Dataspace, DataspaceUsage } from '@odonata/proto/coherency/v1/coherency';
import type { DataspaceLoss } from '@odonata/proto/pmap/v1/pmap';
import { withCluster } from '../connection.ts';
import { printJson } from '../json.ts';
import { plural, print, printNames, say } from '../output.ts';
import { shownMode, shownOwner } from '../ownership.ts';
import { formatSize } from '../size.ts';
import { type Column, table } from '../table.ts';
import { watched } from '../watch.ts';
import { detailJson } from './ds-json.ts';
import type { DsOptions } from './ds-options.ts';

export const ls = (options: DsOptions): Promise<void> => watched(options, () => listOnce(options));

async function listOnce(options: DsOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces }) => {
    const all: DataspaceDetail[] = [];
    for await (const detail of dataspaces.list()) all.push(detail);
    if (options.json) return printJson(all.map(detailJson));
    if (options.quiet) return printNames(all.map(({ dataspace }) => dataspace.name));
    print(
      table(
        COLUMNS,
        all.map(({ dataspace, usage, loss }) => [
          dataspace.name,
          shownOwner(dataspace),
          shownMode(dataspace.mode),
          formatSize(dataspace.sizeBytes),
          notWell(dataspace, usage, loss),
          whereabouts(usage, loss),
          mappers(usage),
        ]),
      ),
    );
  });
}

const COLUMNS: Column[] = [
  ...['NAME', 'OWNER', 'MODE', 'SIZE'].map((head) => ({ head })),
  ...['LOST', 'PAGES AT', 'MAPPED BY'].map((head) => ({ head, flex: true })),
];

export async function stat(name: string, options: DsOptions): Promise<void> {
  await withCluster(options, async ({ dataspaces }) => {
    const { dataspace, usage, loss } = await dataspaces.stat(name);
    const stored = dataspace.durable ? await storedPages(dataspaces, options, name) : undefined;
    if (options.json) return printJson({ ...detailJson({ dataspace, usage, loss }), ...stored });
    say(
      [
        `name       ${dataspace.name}`,
        `id         ${dataspace.id}`,
        `owner      ${shownOwner(dataspace)}, mode ${shownMode(dataspace.mode)}`,
        `size       ${formatSize(dataspace.sizeBytes)} (${dataspace.sizeBytes} bytes, ${pagesText(pagesOf(dataspace))})`,
        `created on ${dataspace.creator || '-'}`,
        `pages at   ${whereabouts(usage, loss)}`,
        `lost       ${notWell(dataspace, usage, loss)}`,
        `durable    ${stored === undefined ? 'no' : `${pagesText(stored.storedPages)} stored${corrupt(stored.corruptPages)}`}`,
        `locks      ${usage.locks}`,
        `mapped by  ${mappers(usage)}`,
      ].join('\n'),
    );
  });
}

/** What the backing store has; a node reads it. */
async function storedPages(
  dataspaces: Dataspaces,
  { node }: DsOptions,
  name: string,
): Promise<{ storedPages: bigint; corruptPages: bigint }> {
  const { storedPages, corruptPages } = await dataspaces.stored(name, { node });
  return { storedPages, corruptPages };
}

export const pagesText = (pages: bigint): string => plural(Number(pages), 'page');
const pagesOf = ({ sizeBytes }: Dataspace): bigint => BigInt(pageCountOf(sizeBytes));

/** What is not well with one: `INCOMPLETE, 3 pages LOST`. */
function notWell(
  { load }: Dataspace,
  { unsettledPages }: DataspaceUsage,
  loss: DataspaceLoss | undefined,
): string {
  const { lostPages = 0n } = loss ?? {};
  const said = [
    load ? 'INCOMPLETE' : '',
    lostPages > 0n ? `${pagesText(lostPages)} LOST` : '',
    unsettledPages > 0n ? `${pagesText(unsettledPages)} not known yet: their directory has just changed` : '',
  ];
  return said.filter(Boolean).join(', ') || '-';
}

const mappers = ({ mappedBy }: DataspaceUsage): string =>
  [...new Set(mappedBy.map(shownHolder))].join(', ') || '-';

const corrupt = (pages: bigint): string => (pages === 0n ? '' : `, ${pages} CORRUPT`);
/** Who has its pages, and what is well and at no node: `node1:3 node2:1, 5 pages stored, not resident`. */
function whereabouts({ ownedPages }: DataspaceUsage, loss: DataspaceLoss | undefined): string {
  const { storedPages = 0n, unknownPages = 0n } = loss ?? {};
  const byName = new Map<string, bigint>();
  for (const [holder, pages] of Object.entries(ownedPages))
    byName.set(shownHolder(holder), (byName.get(shownHolder(holder)) ?? 0n) + pages);
  const nodes = [...byName]
    .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
    .map(([node, pages]) => `${node}:${pages}`)
    .join(' ');
  const said = [
    nodes,
    storedPages > 0n ? `${pagesText(storedPages)} stored, not resident` : '',
    unknownPages > 0n ? `${pagesText(unknownPages)} that the store was not asked for yet` : '',
  ];
  return said.filter(Boolean).join(', ') || '-';
}
