// The figures of a service as a picture.
import { chartSvg } from '../report/chart.ts';
import type { Row } from './sweep.ts';
import { FLAT_MOST, SHARE_MOST } from './verdict.ts';

interface Panel {
  title: string;
  field: string;
}

/** Of one value each; the latencies have a panel each, since they lie far apart. */
const PANELS: readonly Panel[] = [
  { title: 'operations a second', field: 'perS' },
  { title: 'p50, us', field: 'p50Us' },
  { title: 'p99, us', field: 'p99Us' },
  { title: 'CPU us, beside the cheapest', field: 'cpuRatio' },
  { title: 'busiest beside an even share', field: 'share' },
  { title: 'MiB of a replica', field: 'residentMib' },
];
const COLUMNS = 3;

export async function scaleSvg(service: string, rows: readonly Row[]): Promise<string> {
  const values = rows.map((row) => {
    const costs = rows.filter(({ pattern }) => pattern === row.pattern).map(({ cpuUs }) => cpuUs);
    return { ...row, cpuRatio: row.cpuUs / Math.min(...costs), share: row.workShare ?? row.cpuShare };
  });
  return await chartSvg({
    title: { text: `${service}: the same operations over more replicas`, anchor: 'start', fontSize: 16 },
    data: { values },
    concat: PANELS.map((panel) => ({ layer: [lines(panel), ...limit(panel)], width: 260, height: 190 })),
    columns: COLUMNS,
    spacing: 28,
    config: { legend: { orient: 'top', direction: 'vertical', labelLimit: 500, title: null } },
  });
}

const lines = ({ title, field }: Panel) => ({
  mark: { type: 'line' as const, point: true },
  encoding: {
    x: { field: 'replicas', type: 'ordinal' as const, title: 'replicas', axis: { labelAngle: 0 } },
    y: { field, type: 'quantitative' as const, title, scale: { zero: true } },
    color: { field: 'pattern', type: 'nominal' as const, sort: null },
  },
});

/** Up to where a figure meets its target. */
const LIMITS: Record<string, number> = { cpuRatio: FLAT_MOST, share: SHARE_MOST };

function limit({ field }: Panel) {
  const most = LIMITS[field];
  if (most === undefined) return [];
  return [
    {
      data: { values: [{ most }] },
      mark: { type: 'rule' as const, strokeDash: [4, 4] },
      encoding: { y: { field: 'most', type: 'quantitative' as const } },
    },
  ];
}
