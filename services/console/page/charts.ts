// The last hour, from what the service keeps.
import { h } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import type { Point } from '../history.ts';
import * as server from './server.ts';
import { bytes, clock, hueOf } from './words.ts';

// Marks at a memory axis: each a round number of KiB, MiB or GiB.
const BINARY = Array.from({ length: 51 }, (_, power) => 2 ** power);
const EVERY_MS = 5_000;
const HOUR_MS = 3_600_000;

interface ChartAbout {
  title: string;
  lines: Record<string, (point: Point) => number>;
  shown?: (value: number) => string;
}

const CHARTS: ChartAbout[] = [
  {
    title: 'Faults a second',
    lines: Object.fromEntries(
      ['vkernel', 'node', 'remote', 'upgrade'].map((kind) => [
        kind,
        ({ faults }: Point) => faults[kind] ?? 0,
      ]),
    ),
  },
  {
    title: 'Pages a second',
    lines: {
      in: (point) => point.pagesIn,
      out: (point) => point.pagesOut,
      invalidated: (point) => point.invalidations,
    },
  },
  { title: 'Memory in use', lines: { bytes: (point) => point.usedBytes }, shown: bytes },
  { title: 'Processes', lines: { processes: (point) => point.processes } },
];

export function Charts() {
  const [points, setPoints] = useState<Point[]>([]);
  useEffect(() => {
    let known: Point[] = [];
    const ask = async () => {
      const fresh = await server.history(known.at(-1)?.atMs ?? 0).catch(() => []);
      if (fresh.length === 0) return;
      known = [...known, ...fresh].filter(({ atMs }) => atMs > Date.now() - HOUR_MS);
      setPoints(known);
    };
    void ask();
    const timer = setInterval(ask, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return h('section', { class: 'card', 'aria-label': 'The last hour' }, [
    h('h2', null, 'The last hour'),
    h(
      'div',
      { class: 'charts' },
      CHARTS.map((about) => h(Chart, { about, points, key: about.title })),
    ),
  ]);
}

function Chart({ about, points }: { about: ChartAbout; points: Point[] }) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const data = useRef(points);
  data.current = points;
  useEffect(() => {
    const at = place.current!;
    const make = () => {
      chart.current?.destroy();
      chart.current = plot(at, about, data.current);
    };
    const watch = new ResizeObserver(() => chart.current?.setSize({ width: at.clientWidth, height: 170 }));
    make();
    watch.observe(at);
    addEventListener('themed', make);
    return () => {
      watch.disconnect();
      removeEventListener('themed', make);
      chart.current?.destroy();
    };
  }, []);
  useEffect(() => chart.current?.setData(columns(about, points)), [points]);
  return h('div', { class: 'chart', ref: place, role: 'img', 'aria-label': `${about.title}, the last hour` });
}

const columns = ({ lines }: ChartAbout, points: Point[]): uPlot.AlignedData => [
  points.map(({ atMs }) => atMs / 1_000),
  ...Object.values(lines).map((of) => points.map(of)),
];

function plot(at: HTMLElement, about: ChartAbout, points: Point[]): uPlot {
  const style = getComputedStyle(at);
  const stroke = style.color;
  const faint = 'rgb(128 140 150 / 25%)';
  const axis = { stroke, grid: { stroke: faint, width: 1 }, ticks: { stroke: faint, width: 1 } };
  const { shown } = about;
  const options: uPlot.Options = {
    title: about.title,
    width: Math.max(200, at.clientWidth),
    height: 170,
    cursor: { points: { size: 5 } },
    scales: {
      x: { range: () => [(Date.now() - HOUR_MS) / 1_000, Date.now() / 1_000] },
      y: { range: (_, _min, max) => [0, Math.max(1, max * 1.1)] },
    },
    axes: [
      { ...axis, values: (_, seconds) => seconds.map((each) => clock(each * 1_000).slice(0, 5)) },
      { ...axis, size: 78, ...(shown && { incrs: BINARY, values: (_, values) => values.map(shown) }) },
    ],
    series: [
      {},
      ...Object.keys(about.lines).map((label, index) => {
        const colour = `hsl(${hueOf(index)} 70% 50%)`;
        const value = (_: uPlot, raw: number | null) =>
          raw === null ? '-' : shown ? shown(raw) : String(Math.round(raw * 10) / 10);
        return { label, stroke: colour, width: 1.6, points: { show: false }, value };
      }),
    ],
  };
  return new uPlot(options, columns(about, points), at);
}
