// Faults as they chain: what a virtual kernel serves itself goes no further; each step on costs more.
import { h } from 'preact';
import type { NodeRow, Rows } from '../feed.ts';
import { count, micros } from './words.ts';

const STEPS: [kind: string, where: string][] = [
  ['vkernel', 'served in the virtual kernel'],
  ['node', 'served by the pmap manager'],
  ['remote', 'by the directory, page from another node'],
  ['upgrade', 'by the directory, to write what was read'],
];
const NODES_SHOWN = 200;

export function Faults({ nodes, directory }: { nodes: NodeRow[]; directory: Rows['directory'] }) {
  const kinds = [
    ...new Set([...STEPS.map(([kind]) => kind), ...nodes.flatMap(({ faults }) => Object.keys(faults))]),
  ];
  const all = (kind: string) => nodes.reduce((sum, { faults }) => sum + (faults[kind]?.[0] ?? 0), 0);
  return h('section', { class: 'card', 'aria-label': 'Faults' }, [
    h('h2', null, 'Faults a second, as they chain'),
    h('div', { class: 'chain' }, [
      STEPS.flatMap(([kind, where], at) => [
        at > 0 && h('span', { class: 'arrow', 'aria-hidden': true, key: `to ${kind}` }, '→'),
        h('div', { class: 'step', key: kind }, [
          h('b', null, count(all(kind))),
          kind,
          h('div', { class: 'dim' }, where),
        ]),
      ]),
      h('div', { class: 'step', key: 'directory' }, [
        h('b', null, count(directory.recalls + directory.invalidations)),
        'directory',
        h(
          'div',
          { class: 'dim' },
          `${count(directory.acquires)} asked, ${count(directory.grants)} granted, ${count(directory.recalls)} recalls, ${count(directory.invalidations)} invalidations`,
        ),
      ]),
    ]),
    h('div', { class: 'scroll nodes', tabIndex: 0, role: 'region', 'aria-label': 'Faults by node' }, [
      h('table', null, [
        h(
          'thead',
          null,
          h('tr', null, [
            h('th', { scope: 'col' }, 'node'),
            kinds.map((kind) => h('th', { scope: 'col', key: kind }, `${kind}/s (p50, p99)`)),
            h('th', { scope: 'col' }, 'in/s'),
            h('th', { scope: 'col' }, 'out/s'),
            h('th', { scope: 'col' }, 'wait'),
          ]),
        ),
        h(
          'tbody',
          null,
          nodes.slice(0, NODES_SHOWN).map((node) =>
            h('tr', { key: node.name }, [
              h('td', null, node.name),
              kinds.map((kind) => {
                const [perS, p50, p99] = node.faults[kind] ?? [0, 0, 0];
                return h(
                  'td',
                  { key: kind },
                  p99 === 0 ? count(perS) : `${count(perS)} (${micros(p50)}, ${micros(p99)})`,
                );
              }),
              h('td', null, count(node.pagesIn)),
              h('td', null, count(node.pagesOut)),
              h('td', null, count(node.waiting)),
            ]),
          ),
        ),
      ]),
    ]),
  ]);
}
