// `npm run scale`: each service by itself, over more replicas. README.md says what and how.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand } from '../bench/command.ts';
import { mustBeWritable } from '../bench/output-file.ts';
import { Progress } from '../bench/progress.ts';
import { machine, summary, tableText } from '../bench/report.ts';
import { scaleSvg } from './chart.ts';
import { type DrawnService, scaleHtml } from './html.ts';
import { onKubernetes } from './kubernetes/services.ts';
import { costsOf } from './measured-costs.ts';
import { HELP, type Options, parseOptions } from './options.ts';
import { type Costs, missingCosts } from './projection/costs.ts';
import { type Projection, project } from './projection/project.ts';
import { missingLine, projectionLines, projectionTable } from './projection/report.ts';
import { boundLines, serviceTable } from './report.ts';
import type { ScaledService, ServiceName, Setting } from './scaled-service.ts';
import { cohd } from './services/cohd.ts';
import { pmapd } from './services/pmapd.ts';
import { syslinkd } from './services/syslinkd.ts';
import { vkerneld } from './services/vkerneld.ts';
import { sweep } from './sweep.ts';
import { type Judged, judged } from './verdict.ts';

const SERVICES: Record<ServiceName, ScaledService> = { cohd, pmapd, syslinkd, vkerneld };
const PICTURES = join(import.meta.dirname, '../../build/scale');

async function scale(options: Options, signal: AbortSignal, folder: string): Promise<void> {
  const { services, replicas, quick, json, html, svg, assumptions, kubernetes } = options;
  for (const [option, file] of Object.entries({ '--json': json, '--html': html, '--svg': svg })) {
    if (file !== undefined && file !== '-') mustBeWritable(option, file, { folder: true });
  }
  const progress = new Progress();
  const print = (text: string): void => {
    if (json !== '-') console.log(text);
  };
  const startedAt = new Date().toISOString();
  const before = machine();
  const scaled = services.map((name) => (kubernetes ? onKubernetes(name) : SERVICES[name]));
  const results: { name: ServiceName; judged: Judged[]; measured: object }[] = [];
  const drawn: DrawnService[] = [];
  let costs: Partial<Costs> = options.costs;
  for (const service of scaled) {
    const { name } = service;
    const show = (doing: string): void => progress.show(`${name}: ${doing}`);
    const setting: Setting = { quick, folder, signal, progress: show };
    const measured = await sweep(setting, service, replicas, { apart: kubernetes });
    progress.clear();
    const patterns = judged(service, measured.rows);
    costs = { ...costs, ...costsOf(service, measured) };
    const picture = svg ?? join(PICTURES, `${name}.svg`);
    await mkdir(dirname(picture), { recursive: true });
    const svgText = await scaleSvg(name, measured.rows);
    await writeFile(picture, svgText);
    const table = serviceTable(service, patterns);
    drawn.push({ name, svg: svgText, table });
    print(tableText(table));
    print(`What bounds it:\n${boundLines(patterns)}\n\nPicture: ${picture}`);
    results.push({ name, judged: patterns, measured: { ...measured, picture } });
  }
  const figures = results.flatMap((result) => result.judged.flatMap(({ flat, even }) => [flat, even]));
  const missing = missingCosts(costs);
  let projection: Projection | undefined;
  if (missing.length > 0) print(missingLine(missing));
  else {
    projection = project(costs as Costs, assumptions);
    print(tableText(projectionTable(projection, assumptions)));
    print(projectionLines(projection, assumptions));
  }
  if (html !== undefined) {
    const projected = projection && projectionTable(projection, assumptions);
    await writeFile(html, scaleHtml({ startedAt, quick, machine: before, figures, drawn, projected }));
  }
  print(summary([{ figures, tables: [], measured: {} }]));
  if (json === undefined) return;
  const measured = results.map(({ name, judged: patterns, measured: all }) => {
    const bounds = Object.fromEntries(patterns.map(({ pattern, bounds: lines }) => [pattern, lines]));
    return [name, { ...all, bounds }] as const;
  });
  const machines = { ...before, loadAverageAfter: machine().loadAverage };
  const report = {
    ...{ startedAt, quick, kubernetes, machine: machines, replicas, figures },
    ...{ services: Object.fromEntries(measured), costs, assumptions, projection },
  };
  const text = `${JSON.stringify(report, finiteNumbers, 2)}\n`;
  if (json === '-') process.stdout.write(text);
  else await writeFile(json, text);
}

/** JSON has no infinity. */
const finiteNumbers = (_key: string, value: unknown): unknown =>
  value === Number.POSITIVE_INFINITY ? 'any' : value;

process.exit(await runCommand({ name: 'scale', help: HELP, parse: parseOptions, run: scale }));
