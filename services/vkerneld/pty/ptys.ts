// The terminals of this node, each by the session that it is of, and what programs ask of theirs.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { TerminalAsk, TerminalStateSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Process } from '../process-table.ts';
import type { Asking } from '../relatives/asking.ts';
import { Errno, WasiError } from '../vkernel/wasi/errno.ts';
import { Pty, type PtyPlace } from './pty.ts';
import { CHARACTERS, type TerminalSize } from './settings.ts';

type State = MessageInitShape<typeof TerminalStateSchema>;

/** Who asks, on whatever node. */
export interface AskingGroup {
  readonly group: bigint;
  readonly session: bigint;
  /** Nobody would let the group go on that is stopped. */
  readonly orphaned: boolean;
}

export class Ptys {
  readonly #place: PtyPlace;
  readonly #bySession = new Map<bigint, Pty>();

  constructor(place: PtyPlace) {
    this.#place = place;
  }

  /** For a process that begins, and leads its session. */
  make(process: Process, size: TerminalSize): Pty {
    const { pid } = process;
    const pty = new Pty(this.#place, process, size, () => this.#bySession.delete(pid));
    this.#bySession.set(pid, pty);
    return pty;
  }

  /** @throws RpcError FAILED_PRECONDITION */
  of(session: bigint, what: string): Pty {
    const pty = this.#bySession.get(session);
    if (pty !== undefined) return pty;
    throw new RpcError(
      Code.FailedPrecondition,
      `${what} has no terminal: it was not started with -t, or its supervisor was started anew; see: vkctl logs -f`,
    );
  }

  /** @throws WasiError ENOTTY; EAGAIN for a read of the background, which was told so, EIO where nobody would let it go on */
  ask(asking: Asking, own: AskingGroup, asked: TerminalAsk): State {
    const pty = this.#bySession.get(own.session);
    if (pty === undefined) throw new WasiError(Errno.notty);
    const { settings, size, foreground, reads, flush } = asked;
    if (reads && own.group !== pty.foreground) {
      if (own.orphaned) throw new WasiError(Errno.io);
      this.#place.signalGroup(asking, own.group, 'SIGTTIN');
      throw new WasiError(Errno.again);
    }
    if (settings !== undefined) {
      const characters = new Uint8Array(CHARACTERS);
      characters.set(settings.characters.subarray(0, CHARACTERS));
      const { input, output, local } = settings;
      pty.change({ input, output, local, characters }, flush);
    }
    if (size !== undefined) pty.resize(size);
    if (foreground !== undefined) pty.foreground = foreground;
    return {
      settings: { ...pty.settings },
      size: { ...pty.size },
      foreground: pty.foreground,
      session: own.session,
    };
  }
}
