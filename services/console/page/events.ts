// What happened, the newest first.
import { h } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import type { EventRow } from '../feed.ts';
import { List } from './list.ts';
import type { Model } from './model.ts';
import { clock } from './words.ts';

export function Events({ model }: { model: Model }) {
  const [filter, setFilter] = useState('');
  const [chosen, choose] = useState<string>();
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = ({ severity, service, node, kind, text }: EventRow) =>
      words.every((word) => `${severity} ${service} ${node} ${kind} ${text}`.toLowerCase().includes(word));
    return model.events
      .map((event, at) => ({ event, key: `e${at}` }))
      .filter(({ event }) => fits(event))
      .reverse();
  }, [model.events, filter]);
  const shown = rows.find(({ key }) => key === chosen)?.event;
  return h('section', { class: 'card', 'aria-label': 'Events' }, [
    h('div', { class: 'tools' }, [
      h('input', {
        type: 'search',
        placeholder: 'filter: severity, service, kind, words',
        'aria-label': 'Filter events',
        value: filter,
        onInput: (event: Event) => setFilter((event.target as HTMLInputElement).value),
      }),
      h('span', { class: 'dim', role: 'status' }, `${rows.length} events`),
    ]),
    h(List<(typeof rows)[number]>, {
      ...{ label: 'Events', kind: 'events', rows, chosen, choose },
      keyOf: ({ key }) => key,
      line: ({ event }) => [
        h('span', { title: new Date(event.atMs).toISOString() }, clock(event.atMs)),
        h('span', { class: `wide ${event.severity}` }, event.severity),
        h('span', { class: 'wide' }, event.service),
        h('span', { class: 'wide' }, event.kind),
        h('span', { class: event.severity, title: event.text }, event.text),
      ],
    }),
    shown !== undefined &&
      h(
        'p',
        { class: `crumbs ${shown.severity}` },
        `${clock(shown.atMs)} ${shown.service} ${shown.kind}: ${shown.text}`,
      ),
  ]);
}
