// A page here and there of a table that is larger than its node: what is used stays, and nothing that is not used comes in its place.
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { runGuest } from './guest-run.ts';
import { columns, type ResultTable, type Setting } from './part.ts';
import { freshName, loadOn, removeDataspace } from './shared-memory.ts';

const PAGE_BYTES = 4_096;
const TABLE_PAGES = 8_192;
const USED_PAGES = 1_024;
const ORDERS = [`stride=${TABLE_PAGES / USED_PAGES}`, 'random'] as const;
/** Each page comes once; some come again while it is found out which of them are used. */
const FAULTS_MOST = 2;

/** @param short has a fourth of the table's bytes @param owner has room for it */
export async function hereAndThere(
  setting: Setting,
  [short, owner]: readonly [short: string, owner: string],
): Promise<{ figures: Figure[]; table: ResultTable }> {
  const rounds = setting.quick ? 2 : 16;
  const figures: Figure[] = [];
  const rows: string[][] = [];
  for (const order of ORDERS) {
    setting.progress(`a page here and there, ${order}`);
    const name = freshName('here-and-there');
    await loadOn(setting, owner, name, TABLE_PAGES * PAGE_BYTES);
    const statistics = () => setting.to.pmapd(short).getNodeStats({});
    const before = await statistics();
    await runGuest(setting, short, 'touch', [
      ...[name, TABLE_PAGES, 'read', order, '--count', USED_PAGES, '--rounds', rounds],
    ]);
    const after = await statistics();
    await removeDataspace(setting, owner, name);
    const faults = Number((after.faults.remote?.count ?? 0n) - (before.faults.remote?.count ?? 0n));
    const pages = Number(after.pagesIn - before.pagesIn);
    const figure = judge(`paging, ${order}: far faults a used page`, faults / USED_PAGES, '', {
      most: FAULTS_MOST,
    });
    figures.push(figure);
    rows.push([
      order,
      ...[USED_PAGES, rounds, pages, faults].map(String),
      round(faults / USED_PAGES),
      ...verdictCells(figure),
    ]);
  }
  return {
    figures,
    table: {
      title: 'Paging: a page here and there of a table of four times the memory of its node',
      columns: columns(
        'ORDER',
        '>USED',
        '>ROUNDS',
        '>PAGES IN',
        '>FAR FAULTS',
        '>A USED PAGE',
        'TARGET',
        'VERDICT',
      ),
      rows,
      notes: ['What is used fits: it comes once, and stays. What comes along unasked would take its place.'],
    },
  };
}
