// The bytes of a page: the last step of the zoom. They are read once, and again by `r`: a read makes the page shared, so who
// looks all the time would be one of those who fight over it.
import { h } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import * as server from './server.ts';

/** Where a line of sixteen has no room. */
const NARROW = matchMedia('(max-width: 640px)');
const LATIN_FIRST = 0x20;
const LATIN_LAST = 0x7e;

interface PageBytesProps {
  name: string;
  offset: number;
  length: number;
  onClose: () => void;
}

export function PageBytes({ name, offset, length, onClose }: PageBytesProps) {
  const [bytes, setBytes] = useState<Uint8Array>();
  const [before, setBefore] = useState<Uint8Array>();
  const [cursor, setCursor] = useState(0);
  const [why, setWhy] = useState('');
  const rows = useRef<HTMLDivElement>(null);
  const wide = NARROW.matches ? 8 : 16;
  const read = () => {
    setWhy('');
    server.bytes(name, offset, length).then(
      (next) => {
        setBefore(bytes);
        setBytes(next);
      },
      (error: Error) => setWhy(error.message),
    );
  };
  useEffect(() => {
    read();
    rows.current?.focus();
  }, [name, offset]);
  useEffect(() => rows.current?.querySelector('mark')?.scrollIntoView({ block: 'nearest' }), [cursor, bytes]);
  const move = (to: number) => setCursor(Math.max(0, Math.min(length - 1, to)));
  const key = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const screen = wide * 12;
    const by = {
      ...{ ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide, PageDown: screen, PageUp: -screen },
      ...{ Home: -cursor, End: length },
    }[event.key];
    if (by !== undefined) move(cursor + by);
    else if (event.key === 'r') read();
    else if (event.key === 'Backspace' || event.key === '-' || event.key === 'Escape') onClose();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const lines =
    bytes === undefined ? [] : Array.from({ length: Math.ceil(bytes.length / wide) }, (_, i) => i);
  return h('div', { class: 'bytes' }, [
    h('div', { class: 'tools' }, [
      h('span', { class: 'dim crumbs' }, `bytes ${offset} to ${offset + length - 1}, as they were read`),
      h('button', { type: 'button', onClick: read }, 'Read again'),
    ]),
    why !== '' && h('p', { class: 'error', role: 'alert' }, why),
    h(
      'div',
      {
        ...{ ref: rows, class: 'rows', tabIndex: 0, role: 'application', onKeyDown: key },
        'aria-label': `Bytes of ${name}; arrows move, r reads again, Backspace zooms out`,
      },
      lines.map((at) =>
        h(Line, {
          key: at,
          bytes: bytes!,
          before,
          wide,
          offset,
          at,
          cursor: at === Math.floor(cursor / wide) ? cursor : -1,
          onPoint: move,
        }),
      ),
    ),
    h(
      'p',
      { class: 'crumbs', role: 'status', 'aria-live': 'polite' },
      bytes === undefined ? 'Reading ...' : words(bytes, offset, cursor),
    ),
  ]);
}

interface LineProps {
  bytes: Uint8Array;
  before: Uint8Array | undefined;
  wide: number;
  offset: number;
  at: number;
  cursor: number;
  onPoint: (to: number) => void;
}

function Line({ bytes, before, wide, offset, at, cursor, onPoint }: LineProps) {
  const first = at * wide;
  const part = [...bytes.subarray(first, first + wide)];
  const changed = part.map((byte, i) => before !== undefined && before[first + i] !== byte);
  const cell = (text: string, i: number, point: boolean) =>
    first + i === cursor
      ? h(point ? 'mark' : 'em', { key: i }, text)
      : changed[i]
        ? h('ins', { key: i }, text)
        : text;
  const point = (event: MouseEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    onPoint(
      first +
        Math.max(0, Math.min(part.length - 1, Math.floor(((event.clientX - box.left) / box.width) * wide))),
    );
  };
  return h('div', { class: 'row' }, [
    h('span', { class: 'dim' }, (offset + first).toString(16).padStart(8, '0')),
    h(
      'span',
      { onClick: point },
      part.flatMap((byte, i) => [cell(hexOf(byte), i, true), ' ']),
    ),
    h(
      'span',
      null,
      part.map((byte, i) => cell(letterOf(byte), i, false)),
    ),
  ]);
}

const hexOf = (byte: number): string => byte.toString(16).padStart(2, '0');
const letterOf = (byte: number): string =>
  byte >= LATIN_FIRST && byte <= LATIN_LAST ? String.fromCharCode(byte) : '·';

/** The byte, and what a program finds from there on. */
function words(bytes: Uint8Array, offset: number, at: number): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const said = [`byte ${offset + at}: ${view.getUint8(at)}`];
  if (at + 4 <= bytes.length)
    said.push(`as u32 ${view.getUint32(at, true)}`, `f32 ${view.getFloat32(at, true).toPrecision(6)}`);
  if (at + 8 <= bytes.length)
    said.push(`u64 ${view.getBigUint64(at, true)}`, `f64 ${view.getFloat64(at, true).toPrecision(9)}`);
  return said.join(', ');
}
