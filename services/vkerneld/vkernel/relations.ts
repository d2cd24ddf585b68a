// What one process asks of processes: children, signals, groups.
import { odonata } from '@odonata/guest/module/odonata.ts';
import { ChildChange, Placement, type TerminalState } from '@odonata/proto/vkernel/v1/vkernel';
import { PIDS_PER_NODE } from '@odonata/rpc/pid.ts';
import { type HeldDescriptor, hold, letGo } from './held-descriptors.ts';
import type { GivenDescriptor, KernelRequest, SpawnPlace } from './kernel-call.ts';
import { packWords } from './kernel-call.ts';
import type { ProcessFiles } from './mounts/process-files.ts';
import type { Answer, Ask, ChildSpec, ProcessesAsked } from './processes-asked.ts';
import { Errno } from './wasi/errno.ts';
import { wasiSignalOf } from './wasi/signals.ts';

export type RelationRequest = Extract<
  KernelRequest,
  { call: 'spawn' | 'wait_child' | 'kill' | 'identify' | 'set_group' | 'terminal' }
>;

const PIECE_BYTES = 8 << 20;
const PLACEMENTS = {
  named: Placement.UNSPECIFIED,
  spread: Placement.SPREAD,
  near: Placement.NEAR,
} as const satisfies Record<SpawnPlace, Placement>;
/** Of the arguments of a child, what the supervisor shows. */
const SHOWN_WORDS = 64;

export interface RelationsOptions {
  readonly pid: bigint;
  readonly nodeName: string;
  readonly node: number;
  /** Which standard streams are a terminal. */
  readonly terminals: readonly boolean[];
  /** Undefined: this process cannot ask. */
  readonly asked: ProcessesAsked | undefined;
  readonly sendPiece: (data: Uint8Array) => void;
  /** It has its grants alone, and so have its children. */
  readonly bare: boolean;
  /** The standard streams of a child on another node. */
  readonly openStreams: (number: number, given: readonly HeldDescriptor[]) => void;
  readonly abandonStreams: (number: number) => void;
  readonly files: ProcessFiles;
  /** The module of this process; undefined: it is not kept. */
  readonly ownModule: () => Uint8Array<ArrayBuffer> | undefined;
}

const { STOPPED, CONTINUED } = odonata.constants.child.values;
const CHANGED = { [ChildChange.STOPPED]: STOPPED.value, [ChildChange.CONTINUED]: CONTINUED.value };
const nothing = new Uint8Array(0);
const text = (word: Uint8Array): string => Buffer.from(word).toString();

export class Relations {
  readonly #options: RelationsOptions;
  readonly #kept: Uint8Array[] = [];
  #waiting: number | undefined;
  #onKept: (() => void) | undefined;
  /** Of files that other processes may have, too: wasi/file-position.ts. */
  readonly positions = new Set<SharedArrayBuffer>();

  constructor(options: RelationsOptions) {
    this.#options = options;
  }

  /** The payload of a success, or an errno. */
  async serve(request: RelationRequest): Promise<Uint8Array | number> {
    switch (request.call) {
      case 'spawn':
        return await this.#spawn(request);
      case 'wait_child': {
        const { which, hang, stopped, continued } = request;
        const kept = this.#takeKept(which);
        if (kept !== undefined) return kept;
        const asked = this.#ask({ case: 'wait', value: { which, hang, stopped, continued } }).then(waitedOf);
        const waited = await Promise.race([asked, this.#nextKept(which)]);
        if (waited !== 'kept') return this.#unlessKept(which, waited);
        // The answer to an earlier wait, which a signal ended, came meanwhile: this one is not needed.
        this.cancel();
        void asked.then((late) => typeof late !== 'number' && this.keep(late));
        return this.#takeKept(which) ?? Errno.intr;
      }
      case 'kill': {
        const { target, signal } = request;
        return done(await this.#ask({ case: 'signal', value: { target, signal } }));
      }
      case 'identify': {
        const { errno, process, relatives } = await this.#ask({
          case: 'identify',
          value: { target: request.target },
        });
        if (errno !== Errno.success || relatives === undefined) return errno || Errno.srch;
        return packWords(process, relatives.parent, relatives.group, relatives.session);
      }
      case 'terminal': {
        const { errno, terminal } = await this.#ask({ case: 'terminal', value: { ...request.asked } });
        return errno === Errno.success && terminal !== undefined
          ? packTerminal(terminal)
          : errno || Errno.notty;
      }
      case 'set_group': {
        const { target, group, session } = request;
        return done(await this.#ask({ case: 'group', value: { target, group, session } }));
      }
    }
  }

  /** Whether standard input, which is a terminal, may be read now: EAGAIN in the background. */
  async terminalErrno(): Promise<number> {
    return (await this.#ask({ case: 'terminal', value: { reads: true } })).errno;
  }

  async #spawn(request: Extract<RelationRequest, { call: 'spawn' }>): Promise<Uint8Array | number> {
    const { args, env, node, place, apart, group, fds } = request;
    const module = request.module ?? this.#options.ownModule();
    if (module === undefined) return Errno.notsup;
    for (const each of fds) if ('file' in each) this.positions.add(each.file.position);
    const isHere = place === 'named' && !apart && (node === '' || node === this.#options.nodeName);
    const [first, ...rest] = args;
    const name = text(first!);
    const shown = { name, rawArgs: rest.slice(0, SHOWN_WORDS) };
    const about = {
      ...(place === 'near' ? { dataspace: node } : { node }),
      ...{ placement: PLACEMENTS[place], apart },
      ...(group !== undefined && { group }),
    };
    if (isHere) {
      const given = hold(fds, this.#options.files);
      const child: ChildSpec = { name, module, args: rest, env, given };
      const answer = await this.#ask({ case: 'spawn', value: { ...about, program: shown } }, child);
      if (answer.errno !== Errno.success) letGo(given);
      return pidOf(answer);
    }
    // Of other descriptors there are none on other nodes.
    if (fds.some((each) => !('stream' in each) && each.to > 2 && !each.implied)) return Errno.xdev;
    const meant = fds.filter(({ to }) => to <= 2);
    if (meant.some((each) => 'file' in each && !each.file.seekable)) return Errno.xdev;
    for (let at = 0; at < module.length; at += PIECE_BYTES)
      this.#options.sendPiece(module.subarray(at, at + PIECE_BYTES));
    const [input = false, output = false, error = false] = terminalsOf(this.#options.terminals, meant);
    const terminalStreams = { input, output, error };
    const program = { name, rawArgs: rest, rawEnv: [...env], bare: this.#options.bare, terminalStreams };
    const streams = fds.some(({ to }) => to <= 2);
    const { asked, pid, node: own } = this.#options;
    if (asked === undefined) return Errno.nosys;
    const given = hold(meant, this.#options.files);
    const child: ChildSpec = { name, module, args: rest, env, given };
    const ask: Ask = { case: 'spawn', value: { ...about, program, streams } };
    const { number, answer } = asked.ask(pid, ask, child);
    const answered = await answer;
    // The node may have turned out to be this one: then they are the child's.
    if (answered.errno !== Errno.success) {
      letGo(given);
      this.#options.abandonStreams(number);
    } else if (streams && indexOf(answered.process) !== own) this.#options.openStreams(number, given);
    return pidOf(answered);
  }

  /** A wait that a signal ended was answered all the same: the next one, or the one under way, has it. */
  keep(waited: Uint8Array): void {
    if (pidIn(waited) === 0n) return;
    this.#kept.push(waited);
    this.#onKept?.();
  }

  #nextKept(which: bigint): Promise<'kept'> {
    const { promise, resolve } = Promise.withResolvers<'kept'>();
    this.#onKept = () => {
      if (this.#kept.some((waited) => isMeant(which, waited))) resolve('kept');
    };
    return promise;
  }

  /** There is no such child, as it was told to an earlier wait: that answer is on its way to here, or here. */
  async #unlessKept(which: bigint, waited: Uint8Array | number): Promise<Uint8Array | number> {
    if (waited !== Errno.child) return waited;
    await new Promise(setImmediate);
    return this.#takeKept(which) ?? waited;
  }

  /** A signal ended a wait. */
  cancel(): void {
    if (this.#waiting !== undefined) this.#options.asked?.cancel(this.#waiting);
    this.#waiting = undefined;
  }

  #takeKept(which: bigint): Uint8Array | undefined {
    const meant = this.#kept.findIndex((waited) => isMeant(which, waited));
    return meant < 0 ? undefined : this.#kept.splice(meant, 1)[0];
  }

  #ask(ask: Ask, child?: ChildSpec): Promise<Answer> {
    const { asked, pid } = this.#options;
    if (asked === undefined)
      return Promise.resolve({ errno: Errno.nosys, process: 0n, exit: undefined, relatives: undefined });
    const { number, answer } = asked.ask(pid, ask, child);
    if (ask.case === 'wait') this.#waiting = number;
    return answer;
  }
}

/** Which of the child's standard streams are the terminal of its parent. */
export const terminalsOf = (
  terminals: readonly boolean[],
  given: readonly GivenDescriptor[] | readonly HeldDescriptor[],
): boolean[] =>
  [0, 1, 2].map((to) =>
    given.some((each) => 'stream' in each && each.to === to && terminals[each.stream] === true),
  );

const indexOf = (pid: bigint): number => Number(pid / BigInt(PIDS_PER_NODE));
const pidIn = (words: Uint8Array): bigint =>
  new DataView(words.buffer, words.byteOffset).getBigUint64(0, true);
/** As the structure `terminal` of libs/guest/module/odonata.ts. */
function packTerminal({ settings, size, foreground, session }: TerminalState): Uint8Array {
  const characters = new Uint8Array(24);
  characters.set(settings?.characters.subarray(0, 24) ?? []);
  const view = new DataView(characters.buffer);
  return packWords(
    ...[settings?.input, settings?.output, settings?.local].map((flags) => BigInt(flags ?? 0)),
    ...[0, 8, 16].map((at) => view.getBigUint64(at, true)),
    ...[size?.rows, size?.columns].map((count) => BigInt(count ?? 0)),
    ...[foreground, session],
  );
}

const isMeant = (which: bigint, waited: Uint8Array): boolean => which <= 0n || pidIn(waited) === which;

function waitedOf({ errno, process, exit, change }: Answer): Uint8Array | number {
  if (errno !== Errno.success) return errno;
  const code = change === undefined || change === 0 ? (exit?.code ?? 0) : CHANGED[change];
  return packWords(process, BigInt(code), BigInt(wasiSignalOf(exit?.signal ?? '')));
}

const done = ({ errno }: Answer): Uint8Array | number => (errno === Errno.success ? nothing : errno);
const pidOf = ({ errno, process }: Answer): Uint8Array | number =>
  errno === Errno.success ? packWords(process) : errno;
