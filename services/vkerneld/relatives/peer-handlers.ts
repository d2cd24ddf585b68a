// What other homes ask of this one.
import { create } from '@bufbuild/protobuf';
import type { Asker, PeerService } from '@odonata/proto/vkernel/v1/peer';
import { TerminalAskSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { CallContext, Handlers } from '@odonata/rpc/service.ts';
import type { NamedConnections } from '../names/named-connections.ts';
import type { Ptys } from '../pty/ptys.ts';
import { Errno, WasiError } from '../vkernel/wasi/errno.ts';
import type { Asks } from './asks.ts';
import type { FoldersServed } from './folders-served.ts';
import type { Placing } from './placing.ts';
import type { Relatives } from './relatives.ts';
import type { Spawns } from './spawns.ts';
import { fromWire } from './wire.ts';

export function peerHandlers(parts: {
  relatives: Relatives;
  asks: Asks;
  spawns: Spawns;
  placing: Placing;
  folders: FoldersServed;
  ptys: Ptys;
  named: NamedConnections;
}): Handlers<typeof PeerService> {
  const { relatives, asks, spawns, placing, folders, ptys, named } = parts;
  return {
    spawn: (requests, ctx) => spawns.serve(requests, ctx),

    openFolder: (requests, ctx) => folders.serve(requests, ctx),

    connect: (requests, ctx) => named.serve(requests, ctx),

    async tell({ node, messages }) {
      const understood = messages.flatMap((each) => fromWire(each) ?? []);
      await spawns.streams.settled(
        understood.flatMap((message) => (message.kind === 'exited' ? [message.token] : [])),
      );
      const { reply, actions } = relatives.home.receive(
        node,
        understood.map((each) => spawns.streams.heard(each)),
      );
      relatives.changed(actions);
      return { noChildren: [...reply.noChildren], noParents: [...reply.noParents] };
    },

    load: () => placing.load(),

    signal: ({ asker, target, signal, session }, ctx) =>
      told(ctx, asker, (asking) => {
        asks.signalHere(asking, target, signal, session);
        return {};
      }),

    identify: ({ asker, target }, ctx) =>
      told(ctx, asker, (asking) => ({ relatives: asks.identify(asking, target) })),

    terminal: ({ asker, session, group, orphaned, ask }) => {
      try {
        return { terminal: ptys.ask(asker!, { session, group, orphaned }, ask ?? create(TerminalAskSchema)) };
      } catch (error) {
        if (!(error instanceof WasiError)) throw error;
        return { errno: error.errno };
      }
    },

    regroup: ({ asker, target, parent, group }, ctx) =>
      told(ctx, asker, (asking) => {
        asks.regroup(asking, target, parent, group);
        return {};
      }),
  };
}

/** Errors of programs, as the other home understands them. */
function told<T>(_ctx: CallContext, asker: Asker | undefined, run: (asker: Asker) => T): T {
  try {
    return run(asker!);
  } catch (error) {
    if (!(error instanceof WasiError)) throw error;
    const code = error.errno === Errno.perm ? Code.PermissionDenied : Code.NotFound;
    throw new RpcError(code, `${error.errno === Errno.perm ? 'not theirs' : 'no such process'}`);
  }
}
