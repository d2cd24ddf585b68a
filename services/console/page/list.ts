// A list of any length: only the rows that are seen are in the page.
import { type ComponentChildren, h } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

const ROW_PX = 28;
const MORE_ROWS = 6;

interface ListProps<T> {
  label: string;
  kind: string;
  rows: readonly T[];
  keyOf: (row: T) => string;
  chosen: string | undefined;
  choose: (key: string) => void;
  line: (row: T) => ComponentChildren;
  onKey?: (event: KeyboardEvent) => void;
}

export function List<T>({ label, kind, rows, keyOf, chosen, choose, line, onKey }: ListProps<T>) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const look = () => {
    if (box.current === null) return;
    const { scrollTop, clientHeight } = box.current;
    setView({ top: scrollTop, height: clientHeight });
  };
  useEffect(() => {
    const watch = new ResizeObserver(look);
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(view.top / ROW_PX) - MORE_ROWS);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW_PX) + MORE_ROWS);
  const step = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -rows.length, End: rows.length }[
      event.key
    ];
    if (by === undefined || rows.length === 0) return onKey?.(event);
    event.preventDefault();
    const at = rows.findIndex((row) => keyOf(row) === chosen);
    const next = Math.max(0, Math.min(rows.length - 1, at + by));
    choose(keyOf(rows[next]!));
    const [top, bottom] = [next * ROW_PX, (next + 1) * ROW_PX];
    const { current } = box;
    if (current === null) return;
    if (top < current.scrollTop) current.scrollTop = top;
    else if (bottom > current.scrollTop + current.clientHeight)
      current.scrollTop = bottom - current.clientHeight;
  };
  return h(
    'div',
    {
      class: `list ${kind}`,
      ref: box,
      role: 'listbox',
      'aria-label': label,
      'aria-activedescendant': chosen === undefined ? undefined : `row-${chosen}`,
      tabIndex: 0,
      onScroll: look,
      onKeyDown: step,
    },
    h('div', { style: { height: `${rows.length * ROW_PX}px` }, 'aria-hidden': true }),
    rows.slice(first, last).map((row, at) => {
      const key = keyOf(row);
      return h(
        'div',
        {
          key,
          id: `row-${key}`,
          class: key === chosen ? 'line chosen' : 'line',
          role: 'option',
          'aria-selected': key === chosen,
          'aria-posinset': first + at + 1,
          'aria-setsize': rows.length,
          style: { top: `${(first + at) * ROW_PX}px` },
          onClick: () => choose(key),
        },
        line(row),
      );
    }),
  );
}
