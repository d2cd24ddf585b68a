// A dataspace as a field of cells: the colour is the node that owns most of a cell, its form the state; what changed glows.
// A cell is many pages at first, then a page; then come its bytes: zoom by Enter or a click, out by Backspace.
import { h } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { DataspaceRow } from '../feed.ts';
import type { FieldJson } from '../field.ts';
import { PageBytes } from './bytes.ts';
import { FieldPainter } from './field-painter.ts';
import * as server from './server.ts';
import { bytes, count, hueOf, PAGE_BYTES } from './words.ts';

const CELLS_MAX = 2_048;
/** A zoom shows so many cells of the last one. */
const ZOOM_CELLS = 16;

interface Span {
  first: number;
  pages: number;
}

export function Field({ dataspace, nodes }: { dataspace: DataspaceRow; nodes: string[] }) {
  const { name } = dataspace;
  const whole: Span = { first: 0, pages: Math.max(1, Math.ceil(dataspace.bytes / PAGE_BYTES)) };
  const [spans, setSpans] = useState<Span[]>([whole]);
  const [cursor, setCursor] = useState(0);
  const [why, setWhy] = useState('');
  /** The page whose bytes are shown. */
  const [opened, setOpened] = useState<number>();
  const [field, setField] = useState<FieldJson>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const painter = useRef<FieldPainter | undefined>(undefined);
  const span = spans.at(-1)!;
  useEffect(() => {
    painter.current = new FieldPainter(canvas.current!);
    return () => painter.current?.close();
  }, []);
  useEffect(() => {
    setWhy('');
    painter.current?.begin();
    const take = (next: FieldJson) => {
      setField(next);
      painter.current?.show(next, nodes);
    };
    return server.field({ name, ...span }, Math.min(CELLS_MAX, span.pages), take, setWhy);
  }, [name, span.first, span.pages]);
  useEffect(() => painter.current?.point(cursor), [cursor, field]);

  const cells = field?.owner.length ?? 0;
  const move = (to: number) => setCursor(Math.max(0, Math.min(cells - 1, to)));
  const zoomIn = (at: number) => {
    if (field === undefined || at >= cells) return;
    if (field.per === 1 && span.pages <= ZOOM_CELLS) {
      setCursor(at);
      return setOpened(field.first + at);
    }
    const want = Math.max(ZOOM_CELLS, field.per * ZOOM_CELLS);
    const middle = field.first + at * field.per + Math.floor(field.per / 2);
    const pages = field.per === 1 ? ZOOM_CELLS : Math.min(want, Math.ceil(span.pages / 2));
    const first = Math.max(0, Math.min(whole.pages - pages, middle - Math.floor(pages / 2)));
    setSpans([...spans, { first, pages }]);
    setCursor(0);
  };
  const close = () => {
    setOpened(undefined);
    // It can be focused only once it is shown again.
    requestAnimationFrame(() => canvas.current?.focus());
  };
  const zoomOut = () => {
    if (opened !== undefined) return close();
    if (spans.length > 1) setSpans(spans.slice(0, -1));
    setCursor(0);
  };
  const key = (event: KeyboardEvent) => {
    const columns = painter.current?.columns ?? 1;
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (by !== undefined) move(cursor + by);
    else if (event.key === 'Enter' || event.key === '+') zoomIn(cursor);
    else if (event.key === 'Backspace' || event.key === '-') zoomOut();
    else if (event.key === 'Home') move(0);
    else if (event.key === 'End') move(cells - 1);
    else return;
    event.preventDefault();
  };
  const cellAt = (event: MouseEvent) => painter.current?.cellAt(event.offsetX, event.offsetY);
  return h('section', { class: 'card field', 'aria-label': `Pages of ${name}` }, [
    h('div', { class: 'tools' }, [
      h('h2', null, name),
      h(
        'span',
        { class: 'dim crumbs' },
        `${bytes(span.first * PAGE_BYTES)} to ${bytes((span.first + span.pages) * PAGE_BYTES)}${field === undefined ? '' : `, a cell is ${field.per === 1 ? 'a page' : `${count(field.per)} pages (${bytes(field.per * PAGE_BYTES)})`}`}`,
      ),
      h(
        'button',
        { type: 'button', onClick: () => zoomIn(cursor), disabled: opened !== undefined },
        'Zoom in',
      ),
      h(
        'button',
        { type: 'button', onClick: zoomOut, disabled: spans.length === 1 && opened === undefined },
        'Zoom out',
      ),
    ]),
    why !== '' && h('p', { class: 'error', role: 'alert' }, why),
    h('canvas', {
      ref: canvas,
      hidden: opened !== undefined,
      tabIndex: 0,
      role: 'application',
      'aria-label': `Field of ${cells} cells; arrows move, Enter zooms in, Backspace zooms out`,
      onKeyDown: key,
      onMouseMove: (event: MouseEvent) => move(cellAt(event) ?? cursor),
      onClick: (event: MouseEvent) => {
        const at = cellAt(event);
        if (at !== undefined) zoomIn(at);
      },
    }),
    opened !== undefined &&
      h(PageBytes, {
        ...{ key: opened, name, offset: opened * PAGE_BYTES, onClose: close },
        length: Math.min(PAGE_BYTES, dataspace.bytes - opened * PAGE_BYTES),
      }),
    h(
      'p',
      { class: 'crumbs', role: 'status', 'aria-live': 'polite' },
      field === undefined ? 'Asking the directory ...' : words(field, cursor),
    ),
    h(Legend, { nodes, owned: dataspace.owned }),
    (field?.sampled || field?.incomplete) &&
      h(
        'p',
        { class: 'dim' },
        field.sampled
          ? 'Some cells have more runs of pages than were looked at: zoom in for all.'
          : 'A shard of the directory is being rebuilt: some pages are not counted.',
      ),
  ]);
}

function words(field: FieldJson, at: number): string {
  if (at >= field.owner.length) return 'no pages';
  const first = field.first + at * field.per;
  const pages = Math.min(field.per, field.first + field.pages - first);
  const counts: [string, number][] = [
    ['exclusive', field.exclusive[at]!],
    ['shared', field.shared[at]!],
    ['LOST', field.lost[at]!],
    ['changing', field.changing[at]!],
  ];
  const known = field.exclusive[at]! + field.shared[at]! + field.lost[at]!;
  const said = counts
    .filter(([, each]) => each > 0)
    .map(([state, each]) => (field.per === 1 ? state : `${count(each)} ${state}`));
  if (known < pages)
    said.push(field.per === 1 ? 'not asked for yet' : `${count(pages - known)} not asked for yet`);
  const owner = field.nodes[field.owner[at]! - 1];
  const place = pages === 1 ? `page ${first}` : `pages ${first} to ${first + pages - 1}`;
  const range = `bytes ${first * PAGE_BYTES} to ${(first + pages) * PAGE_BYTES - 1}`;
  return `${place} (${range}): ${said.join(', ')}${owner === undefined ? '' : `; owned by ${owner}`}`;
}

function Legend({ nodes, owned }: { nodes: string[]; owned: Record<string, number> }) {
  const known = nodes.map((node, at) => ({ node, at })).filter(({ node }) => (owned[node] ?? 0) > 0);
  return h('div', { class: 'legend' }, [
    known
      .slice(0, 12)
      .map(({ node, at }) =>
        h('span', { key: node }, [
          h('i', { class: 'swatch', style: { background: `hsl(${hueOf(at)} 65% 50%)` } }),
          `${node}: ${count(owned[node]!)} ${owned[node] === 1 ? 'page' : 'pages'}`,
        ]),
      ),
    known.length > 12 && h('span', null, `and ${known.length - 12} more`),
    h(
      'span',
      null,
      'full: one has it alone; half: shared; dot: not asked for; red cross: LOST; frame: it changes',
    ),
  ]);
}
