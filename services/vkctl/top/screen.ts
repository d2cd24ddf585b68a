// The live view of `vkctl top`, by ink: what is pressed changes what was chosen, lines.ts says what that looks like. No JSX:
// these sources run as they are.

import type { Top } from '@odonata/client/look/top.ts';
import { Box, render, Text, useApp, useInput, useWindowSize } from 'ink';
import { createElement as h, useEffect, useState } from 'react';
import { type Chosen, LISTS, type Line, linesOf, rowsOf, SORTS } from './lines.ts';

export interface Screen {
  first: Top;
  chosen: Chosen;
  /** Another look; it takes as long as the time between two. */
  next: () => Promise<Top>;
  /** @returns what became of it, in a line */
  kill: (pid: bigint, signal: 'SIGTERM' | 'SIGKILL') => Promise<string>;
}

type Asking = { kind: 'filter' } | { kind: 'kill'; pid: bigint; signal: 'SIGTERM' | 'SIGKILL' };

const KEYS = 'q quit  tab list  s sort  / filter  up/down select  k TERM  K KILL  space pause';

/** Until its user quits. */
export async function showScreen(screen: Screen): Promise<void> {
  const { waitUntilExit } = render(h(View, screen), { alternateScreen: true, exitOnCtrlC: true });
  await waitUntilExit();
}

function View({ first, chosen: atFirst, next, kill }: Screen) {
  const [top, setTop] = useState(first);
  const [chosen, setChosen] = useState(atFirst);
  const [paused, setPaused] = useState(false);
  const [asking, setAsking] = useState<Asking>();
  const [said, setSaid] = useState('');
  const { exit } = useApp();
  const { columns, rows } = useWindowSize();

  useEffect(() => {
    if (paused) return undefined;
    let over = false;
    const go = async (): Promise<void> => {
      while (!over) {
        try {
          const seen = await next();
          if (!over) setTop(seen);
        } catch (error) {
          exit(error as Error);
          return;
        }
      }
    };
    void go();
    return () => {
      over = true;
    };
  }, [paused, next, exit]);

  const listed = rowsOf(top, chosen);
  const row = Math.max(0, Math.min(chosen.row, listed.length - 1));
  const change = (to: Partial<Chosen>): void => setChosen({ ...chosen, row, ...to });

  useInput((input, key) => {
    if (asking?.kind === 'kill') {
      setAsking(undefined);
      if (input !== 'y') return setSaid('');
      setSaid(`${asking.signal} to ${asking.pid} ...`);
      void kill(asking.pid, asking.signal).then(setSaid);
    } else if (asking?.kind === 'filter') {
      // Keys that are pressed fast, or come over a slow line, come at once.
      const [typed = '', ...after] = input.split(/[\r\n]/);
      if (key.return) setAsking(undefined);
      else if (key.escape) {
        setAsking(undefined);
        change({ filter: '' });
      } else if (key.backspace || key.delete) change({ filter: chosen.filter.slice(0, -1) });
      else if (!key.ctrl && !key.meta) {
        change({ filter: (chosen.filter + typed.replaceAll('\t', '')).slice(0, 60), row: 0 });
        if (after.length > 0) setAsking(undefined);
      }
    } else if (input === 'q') exit();
    else if (key.upArrow) change({ row: Math.max(0, row - 1) });
    else if (key.downArrow) change({ row: Math.min(listed.length - 1, row + 1) });
    else if (key.pageUp) change({ row: Math.max(0, row - 10) });
    else if (key.pageDown) change({ row: Math.min(listed.length - 1, row + 10) });
    else if (key.tab) {
      const list = LISTS[(LISTS.indexOf(chosen.list) + (key.shift ? LISTS.length - 1 : 1)) % LISTS.length]!;
      change({ list, sort: SORTS[list][0], filter: '', row: 0 });
    } else if (input === 's') {
      const sorts: readonly string[] = SORTS[chosen.list];
      change({ sort: sorts[(sorts.indexOf(chosen.sort) + 1) % sorts.length]!, row: 0 });
    } else if (input === '/') setAsking({ kind: 'filter' });
    else if (input === ' ') setPaused(!paused);
    else if (input === 'k' || input === 'K') {
      const pid = listed[row]?.pid;
      const signal = input === 'k' ? 'SIGTERM' : 'SIGKILL';
      if (pid === undefined) setSaid('select a process: tab shows their list');
      else setAsking({ kind: 'kill', pid, signal });
    }
  });

  const about = [
    chosen.list,
    `by ${chosen.sort}`,
    ...(chosen.filter === '' ? [] : [`with "${chosen.filter}"`]),
    ...(paused ? ['paused'] : []),
  ].join(' ');
  const last =
    asking?.kind === 'kill'
      ? `${asking.signal} to process ${asking.pid}? y/n`
      : asking?.kind === 'filter'
        ? `filter: ${chosen.filter}_  (enter: keep, escape: none)`
        : said || KEYS;
  const lines: Line[] = [
    ...linesOf(top, { ...chosen, row }, Math.max(4, rows - 2)).slice(0, rows - 2),
    { text: `[${about}]` },
    { text: last },
  ];
  return h(
    Box,
    { flexDirection: 'column', width: columns, height: rows },
    ...lines.map(({ text, bold = false, inverse = false }, key) =>
      h(Text, { key, wrap: 'truncate', bold, inverse }, text === '' ? ' ' : text),
    ),
  );
}
