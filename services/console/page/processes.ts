// All processes: sorted, filtered, with their logs, and ended after a question.
import { h } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ProcessRow } from '../feed.ts';
import { Dialog } from './dialog.ts';
import { List } from './list.ts';
import type { Model } from './model.ts';
import * as server from './server.ts';
import { bytes, PAGE_BYTES } from './words.ts';

type Column = 'pid' | 'node' | 'vkernel' | 'user' | 'state' | 'cpu' | 'resident' | 'command';
const COLUMNS: [Column, string, wide: boolean][] = [
  ['pid', 'pid', false],
  ['node', 'node', false],
  ['vkernel', 'vkernel', true],
  ['user', 'user', true],
  ['state', 'state', true],
  ['cpu', 'cpu', true],
  ['resident', 'memory', true],
  ['command', 'command', false],
];
const FIRST_LARGEST: ReadonlySet<Column> = new Set(['cpu', 'resident']);
const LOG_CHARS = 400_000;

const ordered = (sort: Column) => (a: ProcessRow, b: ProcessRow) => {
  const [x, y] = [a[sort], b[sort]];
  if (typeof x === 'number' && typeof y === 'number' && x !== y) return y - x;
  if (sort !== 'pid' && x !== y) return x < y ? -1 : 1;
  return a.pid.length - b.pid.length || (a.pid < b.pid ? -1 : 1);
};

export function Processes({ model }: { model: Model }) {
  const [filter, setFilter] = useState('');
  const [sort, setSort] = useState<Column>('cpu');
  const [chosen, choose] = useState<string>();
  const [asking, setAsking] = useState<'kill' | 'logs'>();
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const all = [...model.processes.values()];
    const fits = ({ pid, node, vkernel, user, state, command }: ProcessRow) => {
      const text = `${pid} ${node} ${vkernel} ${user} ${state} ${command}`.toLowerCase();
      return words.every((word) => text.includes(word));
    };
    return (words.length > 0 ? all.filter(fits) : all).sort(ordered(sort));
  }, [model.version, filter, sort]);
  const row = chosen === undefined ? undefined : model.processes.get(chosen);
  const key = (event: KeyboardEvent) => {
    if (chosen === undefined) return;
    if (event.key === 'k') setAsking('kill');
    else if (event.key === 'Enter' || event.key === 'l') setAsking('logs');
    else return;
    event.preventDefault();
  };
  const close = () => setAsking(undefined);
  return h('section', { class: 'card', 'aria-label': 'Processes' }, [
    h('div', { class: 'tools' }, [
      h('input', {
        type: 'search',
        placeholder: 'filter: node, user, words of the command',
        'aria-label': 'Filter processes',
        value: filter,
        onInput: (event: Event) => setFilter((event.target as HTMLInputElement).value),
      }),
      h(
        'span',
        { class: 'dim', role: 'status' },
        `${rows.length.toLocaleString('en')} of ${model.processes.size.toLocaleString('en')}`,
      ),
      h('button', { type: 'button', disabled: row === undefined, onClick: () => setAsking('logs') }, [
        'Logs ',
        h('kbd', null, 'l'),
      ]),
      h('button', { type: 'button', disabled: row === undefined, onClick: () => setAsking('kill') }, [
        'End ',
        h('kbd', null, 'k'),
      ]),
    ]),
    h(
      'div',
      { class: 'heads' },
      COLUMNS.map(([column, words, wide]) =>
        h(
          'button',
          {
            key: column,
            type: 'button',
            class: wide ? 'wide' : '',
            'aria-pressed': sort === column,
            title: `sort by ${words}`,
            onClick: () => setSort(column),
          },
          `${words}${sort === column ? (FIRST_LARGEST.has(column) ? ' ▾' : ' ▴') : ''}`,
        ),
      ),
    ),
    h(List<ProcessRow>, {
      ...{ label: 'Processes', kind: 'processes', rows, chosen, choose, onKey: key },
      keyOf: ({ pid }) => pid,
      line: (process) => [
        h('span', null, process.pid),
        h('span', null, process.node),
        h('span', { class: 'wide' }, process.vkernel),
        h('span', { class: 'wide' }, process.user),
        h(
          'span',
          { class: process.waits > 0 ? 'wide warning' : 'wide' },
          process.waits > 0 ? `waits ${process.waits}` : process.state,
        ),
        h('span', { class: 'wide' }, `${process.cpu} %`),
        h('span', { class: 'wide' }, bytes(process.resident * PAGE_BYTES)),
        h('span', { title: process.command }, process.command),
      ],
    }),
    asking === 'kill' &&
      chosen !== undefined &&
      h(Kill, { pid: chosen, command: row?.command ?? '', onClose: close }),
    asking === 'logs' &&
      chosen !== undefined &&
      h(Logs, { pid: chosen, command: row?.command ?? '', onClose: close }),
  ]);
}

interface OfProcess {
  pid: string;
  command: string;
  onClose: () => void;
}

function Kill({ pid, command, onClose }: OfProcess) {
  const [why, setWhy] = useState('');
  const send = (signal: 'SIGTERM' | 'SIGKILL') => () =>
    server.kill(pid, signal).then(onClose, (error: Error) => setWhy(error.message));
  return h(Dialog, { title: `End process ${pid}?`, small: true, onClose }, [
    h('p', { class: 'crumbs' }, command),
    why !== '' && h('p', { class: 'error', role: 'alert' }, why),
    h('div', { class: 'buttons' }, [
      h('button', { type: 'button', onClick: send('SIGTERM') }, 'SIGTERM: let it end'),
      h('button', { type: 'button', class: 'bad', onClick: send('SIGKILL') }, 'SIGKILL: at once'),
    ]),
  ]);
}

function Logs({ pid, command, onClose }: OfProcess) {
  const place = useRef<HTMLPreElement>(null);
  const [state, setState] = useState('what it wrote, and what it goes on to write');
  useEffect(() => {
    const add = (text: string) => {
      const { current } = place;
      if (current === null) return;
      const atEnd = current.scrollTop + current.clientHeight >= current.scrollHeight - 8;
      current.append(text);
      while (current.firstChild !== current.lastChild && (current.textContent?.length ?? 0) > LOG_CHARS)
        current.firstChild!.remove();
      if (atEnd) current.scrollTop = current.scrollHeight;
    };
    const close = server.logs(
      pid,
      (text, dropped) => add(dropped > 0 ? `[${dropped} bytes are no longer kept]\n${text}` : text),
      (why) => {
        setState(why ?? 'it has ended');
        close();
      },
    );
    return close;
  }, [pid]);
  return h(Dialog, { title: `Output of process ${pid}`, onClose }, [
    h('p', { class: 'dim crumbs' }, command),
    h('pre', { ref: place, tabIndex: 0, role: 'log', 'aria-label': 'output' }),
    h('p', { class: 'dim', role: 'status' }, state),
  ]);
}
