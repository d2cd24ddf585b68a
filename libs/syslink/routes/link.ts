// One link of a router: what its neighbour told, and what was told to it.
import {
  ALIVE_TICKS,
  type LinkMessage,
  type Route,
  SILENT_TICKS,
  type Statement,
  TARGETS_A_MESSAGE,
  TARGETS_MAX,
  type TargetRoutes,
  whyNoTarget,
} from './advertisement.ts';

export interface Heard<S extends Statement> {
  readonly statement: S;
  readonly routes: readonly Route[];
}

export class RouteLink<S extends Statement> {
  readonly number: number;
  /** The router at its other end. */
  readonly neighbour: number;
  /** By target. */
  readonly heard = new Map<number, Heard<S>>();
  #heardSerial = 0;
  /** While the whole of it comes: what was in it. */
  #fresh: Set<number> | undefined;
  /** Something was lost, and the whole of it has not begun to come. */
  #lost = false;
  #silentTicks = 0;
  /** By target: what was told last, as text. */
  readonly #told = new Map<number, string>();
  #toldSerial = 0;
  #tellAll = true;
  #quietTicks = 0;
  readonly #out: LinkMessage<S>[] = [];

  constructor(number: number, neighbour: number) {
    this.number = number;
    this.neighbour = neighbour;
  }

  /** @returns targets of which it tells something else now, or what is wrong with the message */
  receive(message: LinkMessage<S>): ReadonlySet<number> | string {
    this.#silentTicks = 0;
    const changed = new Set<number>();
    switch (message.type) {
      case 'again':
        this.#tellAll = true;
        return changed;
      case 'alive':
        if (this.#lost || message.serial > this.#heardSerial) this.missed();
        return changed;
      case 'routes':
        break;
      default:
        message satisfies never;
        return changed;
    }
    if (message.serial <= this.#heardSerial) return changed; // it came twice, or was overtaken
    const gap = message.serial !== this.#heardSerial + 1;
    this.#heardSerial = message.serial;
    if (message.all) {
      this.#fresh = new Set();
      this.#lost = false;
    } else if (gap || this.#lost) {
      this.#fresh = undefined;
      this.missed();
      return changed;
    }
    const wrong = this.#take(message.targets, changed);
    if (wrong !== undefined) return wrong;
    if (!message.more && this.#fresh !== undefined) {
      for (const router of [...this.heard.keys()]) {
        if (!this.#fresh.has(router) && this.heard.delete(router)) changed.add(router);
      }
      this.#fresh = undefined;
    }
    return changed;
  }

  /** It asks for the whole of it, again with each message and each word of life until it comes. */
  protected missed(): void {
    this.#lost = true;
    if (!this.#out.some(({ type }) => type === 'again')) this.#out.push({ type: 'again' });
  }

  #take(targets: readonly TargetRoutes<S>[], changed: Set<number>): string | undefined {
    for (const target of targets) {
      const { router, statement, routes } = target;
      const wrong = whyNoTarget(target, this.neighbour);
      if (wrong !== undefined) return wrong;
      this.#fresh?.add(router);
      changed.add(router);
      if (routes.length === 0 || statement === undefined) this.heard.delete(router);
      else this.heard.set(router, { statement, routes });
      if (this.heard.size > TARGETS_MAX) return `more than ${TARGETS_MAX} routers`;
    }
    return undefined;
  }

  /**
   * What goes out now.
   * @param all every target that there is to tell of; asked only where the whole of it is due
   * @param changed targets of which something else may be due
   */
  tick(all: () => Iterable<number>, changed: Iterable<number>, say: (router: number) => TargetRoutes<S>) {
    const out = this.#out.splice(0);
    this.#quietTicks += 1;
    const whole = this.#tellAll;
    const due: TargetRoutes<S>[] = [];
    if (whole) this.#told.clear();
    for (const router of whole ? all() : changed) {
      const target = say(router);
      const text = target.routes.length === 0 ? undefined : textOf(target);
      if (text === this.#told.get(router)) continue;
      if (text === undefined) this.#told.delete(router);
      else this.#told.set(router, text);
      due.push(target);
    }
    for (let at = 0; at < due.length || (whole && at === 0); at += TARGETS_A_MESSAGE) {
      this.#toldSerial += 1;
      const more = whole && at + TARGETS_A_MESSAGE < due.length;
      const targets = due.slice(at, at + TARGETS_A_MESSAGE);
      out.push({ type: 'routes', serial: this.#toldSerial, all: whole && at === 0, more, targets });
    }
    this.#tellAll = false;
    if (out.length > 0) this.#quietTicks = 0;
    else if (this.#quietTicks >= ALIVE_TICKS) {
      this.#quietTicks = 0;
      out.push({ type: 'alive', serial: this.#toldSerial });
    }
    this.#silentTicks += 1;
    return out;
  }

  /** Its neighbour has said nothing for too long. */
  get isSilent(): boolean {
    return this.#silentTicks > SILENT_TICKS;
  }
}

function textOf<S extends Statement>({ statement, routes }: TargetRoutes<S>): string {
  const ways = routes.map(({ path, tie }) => `${path.join('-')}:${tie}`);
  return `${statement?.epoch}/${statement?.sequence} ${ways.join(' ')}`;
}
