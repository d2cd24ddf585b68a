// Who fights over which pages of a dataspace: the same as "vkctl ds hot".
import { h } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { HotRow } from '../hot.ts';
import * as server from './server.ts';

const SHARING: Record<string, string> = {
  false: 'false: each writes bytes of its own',
  true: 'true: the same bytes',
  reads: 'all read',
  alone: 'one process',
  unknown: '?',
};

export function Hot({ name }: { name: string }) {
  const [rows, setRows] = useState<HotRow[]>();
  const [why, setWhy] = useState('');
  useEffect(() => {
    setRows(undefined);
    setWhy('');
    return server.hot(name, setRows, setWhy);
  }, [name]);
  return h('section', { class: 'card hot', 'aria-label': `Hot pages of ${name}` }, [
    h('h2', null, 'Pages that nodes fight over'),
    why !== '' && h('p', { class: 'error', role: 'alert' }, why),
    rows?.length === 0 && h('p', { class: 'dim' }, 'None in the last minute.'),
    rows !== undefined &&
      rows.length > 0 &&
      h(
        'div',
        { class: 'scroll' },
        h('table', null, [
          h('thead', null, [
            h(
              'tr',
              null,
              ['Page', 'Named', 'Faults a second', 'Waited, ms a second', 'Sharing', 'Who'].map((head) =>
                h('th', { scope: 'col' }, head),
              ),
            ),
          ]),
          h(
            'tbody',
            null,
            rows.map((row) =>
              h('tr', { key: row.page }, [
                h('td', null, String(row.page)),
                h('td', null, row.names.join(', ') || '-'),
                h('td', null, row.faults.toFixed(1)),
                h('td', null, row.waitedMs.toFixed(1)),
                h('td', null, SHARING[row.sharing] ?? row.sharing),
                h(
                  'td',
                  null,
                  row.users
                    .map(
                      ({ node, pid, write, bytes }) =>
                        `${pid || 'somebody'} at ${node} ${write ? 'writes' : 'reads'} ${bytes}`,
                    )
                    .join('; '),
                ),
              ]),
            ),
          ),
        ]),
      ),
  ]);
}
