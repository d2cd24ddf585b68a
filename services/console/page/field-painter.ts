// Paints a field on a canvas. What changed glows for a moment; nothing is drawn while nothing changes.
import type { FieldJson } from '../field.ts';
import { hueOf } from './words.ts';

const GLOW_MS = 900;
const LEAST_PX = 5;
const MOST_PX = 30;
const HEIGHT_PX = 420;

export class FieldPainter {
  readonly #canvas: HTMLCanvasElement;
  readonly #resized: ResizeObserver;
  #field: FieldJson | undefined;
  #hues: number[] = [];
  #changedMs = new Float64Array(0);
  #cursor = 0;
  #size = MOST_PX;
  #asked = false;
  /** All is to be painted: else only what glows, and the cursor. */
  #whole = true;
  #again = () => this.#ask(true);
  columns = 1;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    this.#resized = new ResizeObserver(this.#again);
    this.#resized.observe(canvas);
    addEventListener('themed', this.#again);
  }

  close(): void {
    this.#resized.disconnect();
    removeEventListener('themed', this.#again);
  }

  /** Another range comes: nothing of it has changed. */
  begin(): void {
    this.#field = undefined;
    this.#changedMs = new Float64Array(0);
  }

  show(field: FieldJson, nodes: readonly string[]): void {
    const last = this.#field;
    const cells = field.owner.length;
    const nowMs = performance.now();
    if (last?.owner.length !== cells)
      this.#changedMs = new Float64Array(cells).fill(Number.NEGATIVE_INFINITY);
    else
      for (let at = 0; at < cells; at++) {
        const owner = field.nodes[field.owner[at]! - 1];
        const before = last.nodes[last.owner[at]! - 1];
        const isSame =
          owner === before &&
          field.exclusive[at] === last.exclusive[at] &&
          field.shared[at] === last.shared[at] &&
          field.lost[at] === last.lost[at];
        if (!isSame) this.#changedMs[at] = nowMs;
      }
    this.#hues = field.nodes.map((node) => hueOf(Math.max(0, nodes.indexOf(node))));
    this.#field = field;
    this.#ask(true);
  }

  point(cell: number): void {
    if (cell === this.#cursor) return;
    this.#cursor = cell;
    this.#ask(true);
  }

  cellAt(x: number, y: number): number | undefined {
    const column = Math.floor(x / this.#size);
    const at = Math.floor(y / this.#size) * this.columns + column;
    return column < this.columns && at < (this.#field?.owner.length ?? 0) ? at : undefined;
  }

  #ask(whole: boolean): void {
    this.#whole ||= whole;
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#paint();
    });
  }

  #paint(): void {
    const field = this.#field;
    if (field === undefined) return;
    const canvas = this.#canvas;
    const cells = field.owner.length;
    const paint = canvas.getContext('2d')!;
    const nowMs = performance.now();
    if (this.#whole) this.#fit(canvas, paint, cells);
    let glows = false;
    for (let at = 0; at < cells; at++) {
      // Once more after its glow, without it.
      const ageMs = nowMs - this.#changedMs[at]!;
      if (!this.#whole && ageMs > GLOW_MS + 100) continue;
      if (!this.#whole) paint.clearRect(...this.#placeOf(at), this.#size, this.#size);
      glows = this.#cell(paint, field, at, ageMs) || glows;
    }
    this.#whole = false;
    paint.strokeStyle = getComputedStyle(canvas).color;
    paint.lineWidth = 2;
    const [x, y] = this.#placeOf(this.#cursor);
    paint.strokeRect(x + 1, y + 1, this.#size - 2, this.#size - 2);
    if (glows) this.#ask(false);
  }

  #fit(canvas: HTMLCanvasElement, paint: CanvasRenderingContext2D, cells: number): void {
    const width = canvas.clientWidth;
    const fits = Math.floor(Math.sqrt((width * HEIGHT_PX) / Math.max(1, cells)));
    this.#size = Math.max(LEAST_PX, Math.min(MOST_PX, fits));
    this.columns = Math.max(1, Math.floor(width / this.#size));
    const height = Math.ceil(cells / this.columns) * this.#size;
    const ratio = Math.min(2, devicePixelRatio);
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.clearRect(0, 0, width, height);
  }

  #placeOf(at: number): [x: number, y: number] {
    return [(at % this.columns) * this.#size, Math.floor(at / this.columns) * this.#size];
  }

  /** @returns true while it glows */
  #cell(paint: CanvasRenderingContext2D, field: FieldJson, at: number, ageMs: number): boolean {
    const [x, y] = this.#placeOf(at);
    const inner = this.#size - 1;
    const hue = this.#hues[field.owner[at]! - 1];
    const [exclusive, shared, lost] = [field.exclusive[at]!, field.shared[at]!, field.lost[at]!];
    const known = exclusive + shared + lost;
    if (known === 0) {
      const dot = Math.max(1, inner / 5);
      paint.fillStyle = 'rgb(128 140 150 / 55%)';
      paint.fillRect(x + (inner - dot) / 2, y + (inner - dot) / 2, dot, dot);
    } else {
      const colour = hue === undefined ? 'hsl(0 0% 55%' : `hsl(${hue} 65% 50%`;
      const filled = Math.max(0.25, Math.min(1, known / field.per));
      paint.fillStyle = `${colour} / 30%)`;
      paint.fillRect(x, y, inner, inner);
      paint.fillStyle = `${colour} / ${Math.round(filled * 100)}%)`;
      // A cell that is shared is half full.
      const part = exclusive >= shared ? inner : inner / 2;
      paint.fillRect(x, y + inner - part, inner, part);
    }
    if (lost > 0) {
      paint.strokeStyle = '#e0352b';
      paint.lineWidth = Math.max(1.5, inner / 6);
      paint.beginPath();
      paint.moveTo(x + 1, y + 1);
      paint.lineTo(x + inner - 1, y + inner - 1);
      paint.moveTo(x + inner - 1, y + 1);
      paint.lineTo(x + 1, y + inner - 1);
      paint.stroke();
    }
    if (field.changing[at]! > 0) {
      paint.strokeStyle = '#f2a33a';
      paint.lineWidth = 1.5;
      paint.strokeRect(x + 0.75, y + 0.75, inner - 1.5, inner - 1.5);
    }
    if (ageMs > GLOW_MS) return ageMs <= GLOW_MS + 50;
    paint.fillStyle = `rgb(255 210 90 / ${Math.round(80 * (1 - ageMs / GLOW_MS))}%)`;
    paint.fillRect(x, y, inner, inner);
    return true;
  }
}
