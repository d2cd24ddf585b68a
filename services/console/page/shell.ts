// The frame of the page: who, what is shown, and keys.
import { h } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Dataspaces } from './dataspaces.ts';
import { Dialog } from './dialog.ts';
import { Events } from './events.ts';
import { Model, useModel } from './model.ts';
import { Overview } from './overview.ts';
import { Processes } from './processes.ts';
import * as server from './server.ts';

const TABS = ['Overview', 'Processes', 'Dataspaces', 'Events'] as const;
type Tab = (typeof TABS)[number];
const VIEWS = { Overview, Processes, Dataspaces, Events };

const KEYS: [string, string][] = [
  ['1 2 3 4', 'overview, processes, dataspaces, events'],
  ['/', 'filter what is listed'],
  ['up down', 'choose a row'],
  ['Enter or l', 'logs of the chosen process'],
  ['k', 'end the chosen process, after a question'],
  ['arrows, Enter, Backspace', 'in a field: move, zoom in, at last to the bytes of a page, zoom out'],
  ['r', 'in the bytes of a page: read them again'],
  ['t', 'dark, light, or as the system has it'],
  ['?', 'these keys'],
];

export const isTyping = ({ target }: Event): boolean =>
  target instanceof HTMLInputElement ||
  target instanceof HTMLTextAreaElement ||
  target instanceof HTMLSelectElement;

export function Shell({ who, onOut }: { who: server.Who; onOut: () => void }) {
  const model = useMemo(() => new Model(), []);
  const [tab, setTab] = useState<Tab>('Overview');
  const [help, setHelp] = useState(false);
  useModel(model);
  useEffect(() => model.start(onOut), [model]);
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (document.querySelector('dialog[open]') !== null) return;
      const at = Number(event.key) - 1;
      if (TABS[at] !== undefined) {
        setTab(TABS[at]);
        // The arrows go to what is listed there.
        requestAnimationFrame(() =>
          document.querySelector<HTMLElement>('#main [role=listbox], #main canvas[tabindex]')?.focus(),
        );
      } else if (event.key === '?') setHelp(true);
      else if (event.key === 't') turnTheme();
      else if (event.key === '/') {
        event.preventDefault();
        document.querySelector<HTMLInputElement>('input[type=search]')?.focus();
      }
    };
    addEventListener('keydown', key);
    return () => removeEventListener('keydown', key);
  }, []);
  const leave = () => server.logout().then(onOut, onOut);
  return h('div', null, [
    h('a', { class: 'skip', href: '#main' }, 'To what is shown'),
    h('header', null, [
      h('img', { src: '/icon.svg', alt: '' }),
      h('h1', null, `Odonata: ${model.look?.cluster ?? who.cluster}`),
      h('span', { role: 'status' }, [
        h('span', { class: model.open ? 'dot' : 'dot away', 'aria-hidden': true }),
        model.open ? 'live' : 'waiting for the console',
      ]),
      h('span', { class: 'who' }, `${who.who} (${who.role})`),
      h('button', { type: 'button', onClick: turnTheme, title: 'dark or light (t)' }, 'Theme'),
      h('button', { type: 'button', onClick: () => setHelp(true), title: 'keys (?)' }, 'Keys'),
      who.needsLogin && h('button', { type: 'button', onClick: leave }, 'Log out'),
    ]),
    h(Tabs, { tab, setTab }),
    h(
      'main',
      { id: 'main', role: 'tabpanel', 'aria-labelledby': `tab-${tab}`, tabIndex: -1 },
      h(VIEWS[tab], { model, key: tab }),
    ),
    help &&
      h(Dialog, { title: 'Keys', small: true, onClose: () => setHelp(false) }, [
        h(
          'table',
          null,
          h(
            'tbody',
            null,
            KEYS.map(([keys, what]) =>
              h('tr', { key: keys }, [h('td', null, h('kbd', null, keys)), h('td', null, what)]),
            ),
          ),
        ),
      ]),
  ]);
}

function Tabs({ tab, setTab }: { tab: Tab; setTab: (tab: Tab) => void }) {
  const list = useRef<HTMLElement>(null);
  const turn = (event: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    const at = (TABS.indexOf(tab) + by + TABS.length) % TABS.length;
    setTab(TABS[at]!);
    (list.current?.children[at] as HTMLElement | undefined)?.focus();
  };
  return h(
    'nav',
    { role: 'tablist', 'aria-label': 'Views', ref: list, onKeyDown: turn },
    TABS.map((name, at) =>
      h(
        'button',
        {
          key: name,
          id: `tab-${name}`,
          type: 'button',
          role: 'tab',
          'aria-selected': name === tab,
          'aria-controls': 'main',
          tabIndex: name === tab ? 0 : -1,
          onClick: () => setTab(name),
        },
        [name, ' ', h('kbd', null, at + 1)],
      ),
    ),
  );
}

function turnTheme(): void {
  const { dataset } = document.documentElement;
  const next = { '': 'dark', dark: 'light', light: '' }[dataset.theme ?? ''];
  if (next) dataset.theme = next;
  else delete dataset.theme;
  // What is drawn on a canvas takes its colours from here.
  dispatchEvent(new Event('themed'));
}
