// The cluster at a glance: its nodes with their virtual kernels and processes, faults, and the last hour.
import { h } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { NodeRow, ProcessRow } from '../feed.ts';
import { Charts } from './charts.ts';
import { Faults } from './faults.ts';
import type { Model } from './model.ts';
import { bytes, count, hueOf, PAGE_BYTES } from './words.ts';

export function Overview({ model }: { model: Model }) {
  const { look } = model;
  if (look === undefined) return h('p', { role: 'status' }, 'Waiting for the first look at the cluster ...');
  const byNode = new Map<string, ProcessRow[]>();
  for (const process of model.processes.values()) {
    const its = byNode.get(process.node);
    if (its === undefined) byNode.set(process.node, [process]);
    else its.push(process);
  }
  const sum = (pick: (node: NodeRow) => number) => look.nodes.reduce((all, node) => all + pick(node), 0);
  const faults = sum((node) => Object.values(node.faults).reduce((all, [perS]) => all + perS, 0));
  const figures: [string, string][] = [
    [count(look.nodes.length), 'nodes'],
    [count(sum((node) => node.vkernels.length)), 'virtual kernels'],
    [count(model.processes.size), 'processes'],
    [count(look.dataspaces.length), 'dataspaces'],
    [count(faults), 'faults a second'],
    [bytes(sum((node) => node.private + node.shared) * PAGE_BYTES), 'of memory in use'],
  ];
  return h('div', { class: 'map-view', style: { display: 'grid', gap: '12px' } }, [
    look.silent.length > 0 &&
      h('p', { class: 'card error', role: 'alert' }, `No answer from: ${look.silent.slice(0, 8).join('; ')}`),
    h(
      'section',
      { class: 'card figures', 'aria-label': 'Figures' },
      figures.map(([value, what]) =>
        h('div', { class: 'figure', key: what }, [h('b', null, value), h('span', null, what)]),
      ),
    ),
    h('section', { class: 'card', 'aria-label': 'Map of nodes' }, [
      h('h2', null, 'Nodes, virtual kernels and processes'),
      h(
        'div',
        { class: 'map' },
        look.nodes.map((node, at) =>
          h(Node, { node, hue: hueOf(at), processes: byNode.get(node.name) ?? [], key: node.name }),
        ),
      ),
    ]),
    h(Faults, { nodes: look.nodes, directory: look.directory }),
    h(Charts, null),
  ]);
}

function Node({ node, hue, processes }: { node: NodeRow; hue: number; processes: ProcessRow[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => drawProcesses(canvas.current!, processes));
  const faults = Object.values(node.faults).reduce((all, [perS]) => all + perS, 0);
  const vkernels = node.vkernels
    .map(([name, user, its]) => `${name}${user ? ` of ${user}` : ''}: ${its}`)
    .join(', ');
  return h('article', { class: node.answers ? 'node' : 'node silent' }, [
    h('h3', null, [
      h('span', { class: 'swatch', style: { background: `hsl(${hue} 65% 50%)` }, 'aria-hidden': true }),
      node.name,
      !node.answers && h('span', { class: 'error' }, 'silent'),
    ]),
    h('meter', {
      min: 0,
      max: Math.max(1, node.frames),
      value: node.private + node.shared,
      title: 'memory in use',
      'aria-label': `memory of ${node.name}`,
    }),
    h('div', { class: 'row' }, [
      h('span', null, bytes((node.private + node.shared) * PAGE_BYTES)),
      h('span', null, `${count(faults)} faults/s`),
    ]),
    h('div', { class: 'row', title: vkernels }, [
      h('span', null, many(node.vkernels.length, 'vkernel', 'vkernels')),
      h('span', null, many(node.processes, 'process', 'processes')),
    ]),
    h('canvas', {
      ref: canvas,
      role: 'img',
      'aria-label': `${node.processes} processes, ${node.waiting} faults wait`,
    }),
  ]);
}

const many = (n: number, one: string, more: string): string => `${n} ${n === 1 ? one : more}`;

/** A square each: the warmer, the more it computes; with a frame while a fault of it waits. */
function drawProcesses(canvas: HTMLCanvasElement, processes: readonly ProcessRow[]): void {
  const key = processes
    .map(({ cpu, waits }) => (waits > 0 ? 'w' : String.fromCharCode(48 + Math.min(10, cpu / 10))))
    .join('');
  if (canvas.dataset.drawn === key) return;
  canvas.dataset.drawn = key;
  const [width, height] = [132, 34];
  const ratio = Math.min(2, devicePixelRatio);
  if (canvas.width !== width * ratio) [canvas.width, canvas.height] = [width * ratio, height * ratio];
  const paint = canvas.getContext('2d')!;
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint.clearRect(0, 0, width, height);
  const size = processes.length > 320 ? 3 : processes.length > 60 ? 5 : 9;
  const columns = Math.floor(width / size);
  const most = columns * Math.floor(height / size);
  processes.slice(0, most).forEach(({ cpu, waits }, at) => {
    const [x, y] = [(at % columns) * size, Math.floor(at / columns) * size];
    paint.fillStyle = waits > 0 ? '#d9534f' : `hsl(${195 - Math.min(100, cpu) * 1.6} 60% 50%)`;
    paint.fillRect(x, y, size - 1, size - 1);
  });
}
