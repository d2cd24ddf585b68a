// What the run prints of the projection.
import { round } from '../../bench/figure.ts';
import { columns, type ResultTable } from '../../bench/part.ts';
import type { Assumptions } from './assumptions.ts';
import type { CostName } from './costs.ts';
import type { Projected, Projection } from './project.ts';

export function projectionTable(
  { stations }: Projection,
  { nodes, vkernels, target, faults, active }: Assumptions,
): ResultTable {
  return {
    title: `Projection: ${nodes} nodes, ${vkernels} virtual kernels`,
    columns: columns(
      'STATION',
      '>A SECOND',
      '>COST us',
      '>SERVERS',
      '>OF',
      '>UTILISATION',
      '>WAIT us',
      '>CARRIES NODES',
    ),
    rows: stations.map((station) => [
      ...[station.name, station.ratePerS.toFixed(0), round(station.costUs), String(station.servers)],
      ...[String(station.most), `${round(station.utilisation * 100)} %`, finite(station.waitUs, round)],
      finite(station.nodesMost, String),
    ]),
    notes: [
      `SERVERS: the fewest that stay at ${target * 100} %, of as many as there may be; for pmapd and vkerneld one a node.`,
      `Faults: ${active * 100} % of the virtual kernels make ${faults} a second each. All assumptions: npm run scale -- --help.`,
      'Costs are of an operation alone, so they are the dear ones: busy services join operations, which cost less then.',
      'WAIT: mean time in the queue (M/G/c). CARRIES: nodes with as many virtual kernels each, up to the target.',
    ],
  };
}

const finite = (value: number, show: (value: number) => string): string =>
  Number.isFinite(value) ? show(value) : 'any';

export function projectionLines(
  { stations, first, vkernelsPerNode, memoryShare }: Projection,
  { nodes, nodeGib }: Assumptions,
): string {
  const lines = [firstLine(first, nodes)];
  const over = stations.filter((station) => station !== first && station.nodesMost < nodes);
  for (const { name, nodesMost, remedy } of over)
    lines.push(`Then: ${name}, at ${nodesMost} nodes. It takes ${remedy}.`);
  const memory = `${round(memoryShare * 100)} % of a node's ${nodeGib} GiB for ${round(vkernelsPerNode)} virtual kernels without their programs`;
  lines.push(memoryShare > 1 ? `Memory does not suffice: ${memory}.` : `Memory: ${memory}.`);
  return lines.map((line) => `  ${line}`).join('\n');
}

function firstLine({ name, nodesMost, remedy, utilisation }: Projected, nodes: number): string {
  if (!Number.isFinite(nodesMost)) return 'First bottleneck: none of the stations, at any size.';
  const where =
    nodesMost < nodes ? `before ${nodes} nodes, at ${nodesMost}` : `past ${nodes} nodes, at ${nodesMost}`;
  return `First bottleneck: ${name}, ${where} (${round(utilisation * 100)} % at ${nodes}). It takes ${remedy}.`;
}

/** What each is, COSTS tells. */
export const missingLine = (missing: readonly CostName[]): string =>
  `\nNo projection: these costs are not measured: ${missing.join(', ')}.\n` +
  'Run all services, or give the JSON of an earlier run by --costs FILE.';
