// Shared memory: which dataspaces there are, and the pages of one as a field.
import { h } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Field } from './field.ts';
import { Hot } from './hot.ts';
import type { Model } from './model.ts';
import { bytes, count } from './words.ts';

const SHOWN = 300;

export function Dataspaces({ model }: { model: Model }) {
  const [filter, setFilter] = useState('');
  const [name, setName] = useState<string>();
  const { look } = model;
  const first = look?.dataspaces[0]?.name;
  // The order changes with what moves; what is shown stays until another one is chosen.
  useEffect(() => {
    if (name === undefined && first !== undefined) setName(first);
  }, [name, first]);
  if (look === undefined) return h('p', { role: 'status' }, 'Waiting for the first look at the cluster ...');
  const all = look.dataspaces.filter((each) =>
    `${each.name} ${each.owner}`.toLowerCase().includes(filter.toLowerCase()),
  );
  const chosen = look.dataspaces.find((each) => each.name === name) ?? all[0];
  return h('div', { class: 'two' }, [
    h('section', { class: 'card', 'aria-label': 'Dataspaces' }, [
      h('div', { class: 'tools' }, [
        h('input', {
          type: 'search',
          placeholder: 'filter: name, owner',
          'aria-label': 'Filter dataspaces',
          value: filter,
          onInput: (event: Event) => setFilter((event.target as HTMLInputElement).value),
        }),
      ]),
      all.length === 0 &&
        h('p', { class: 'dim' }, 'None that you may see. A program makes one; so does "vkctl ds create".'),
      h(
        'div',
        { class: 'spaces' },
        all.slice(0, SHOWN).map((each) =>
          h(
            'button',
            {
              key: each.name,
              type: 'button',
              'aria-pressed': each === chosen,
              onClick: () => setName(each.name),
            },
            [
              h('b', null, each.name),
              h('span', { class: 'dim' }, `${bytes(each.bytes)}, of ${each.owner || 'nobody'}`),
              h(
                'span',
                { class: each.lost > 0 ? 'error' : 'dim' },
                each.lost > 0
                  ? `${count(each.lost)} pages LOST`
                  : `${count(each.moved)} changes of owner a second, ${each.locks} locks`,
              ),
            ],
          ),
        ),
      ),
    ]),
    chosen !== undefined &&
      h('div', null, [
        h(Field, { key: chosen.name, dataspace: chosen, nodes: look.nodes.map((node) => node.name) }),
        h(Hot, { key: `hot ${chosen.name}`, name: chosen.name }),
      ]),
  ]);
}
