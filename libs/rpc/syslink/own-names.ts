// Names that an endpoint registers: told to each router that it is attached to, and again before their lease ends.
import { ownTurn } from '../bug.ts';
import { frame } from './frame.ts';
import type { Line } from './line.ts';

const LEASE_MS = 30_000;

export interface NameOptions {
  /** Everybody of the cluster may use it; else whose scope it is, and `groups`. */
  readonly everyone?: boolean;
  readonly groups?: readonly string[];
  /** A router did not take it. */
  readonly refused?: (error: Error) => void;
}

export interface OwnName {
  /** How much there is to do: requests go to whoever has least. */
  load(load: number): void;
  /** It is there, and wants no requests for now; or wants them again. */
  well(well: boolean): void;
  withdraw(): void;
}

interface Said {
  readonly options: NameOptions;
  load: number;
  unwell: boolean;
}

export class OwnNames {
  readonly #names = new Map<string, Said>();
  readonly #lines: () => Iterable<Line>;
  #renewing: NodeJS.Timeout | undefined;

  constructor(lines: () => Iterable<Line>) {
    this.#lines = lines;
  }

  register(name: string, options: NameOptions): OwnName {
    const said: Said = { options, load: 0, unwell: false };
    this.#names.set(name, said);
    this.#renewing ??= setInterval(
      ownTurn({ timer: 'names' }, () => this.#tellAll()),
      LEASE_MS / 3,
    ).unref();
    const tell = () => {
      if (this.#names.get(name) === said) for (const line of this.#lines()) this.#tell(line, name, said);
    };
    tell();
    return {
      load: (load) => {
        said.load = load;
        tell();
      },
      well: (well) => {
        said.unwell = !well;
        tell();
      },
      withdraw: () => {
        if (this.#names.get(name) !== said) return;
        this.#names.delete(name);
        for (const line of this.#lines()) line.say(frame({ case: 'nameWithdraw', value: { name } }));
      },
    };
  }

  /** A line to a router is there. */
  tell(line: Line): void {
    for (const [name, said] of this.#names) this.#tell(line, name, said);
  }

  refused(name: string, error: Error): void {
    this.#names.get(name)?.options.refused?.(error);
  }

  stop(): void {
    clearInterval(this.#renewing);
    this.#names.clear();
  }

  #tellAll(): void {
    for (const line of this.#lines()) this.tell(line);
  }

  #tell(line: Line, name: string, { options, load, unwell }: Said): void {
    const { everyone = false, groups = [] } = options;
    const value = { name, load, unwell, everyone, groups: [...groups], leaseMs: LEASE_MS };
    line.say(frame({ case: 'nameRegister', value }));
  }
}
