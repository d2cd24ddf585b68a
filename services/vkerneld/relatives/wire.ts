// Messages of homes, as they go between nodes.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Message, Reply, Status } from '@odonata/processes/message.ts';
import type { HomeMessage, HomeMessageSchema, TellResponse } from '@odonata/proto/vkernel/v1/peer';
import type { Exited } from '@odonata/proto/vkernel/v1/vkernel';

export const statusOf = (exit: Partial<Pick<Exited, 'code' | 'signal' | 'reason'>> | undefined): Status => ({
  code: exit?.code ?? 0,
  signal: exit?.signal ?? '',
  reason: exit?.reason ?? '',
});

export function toWire(message: Message): MessageInitShape<typeof HomeMessageSchema> {
  switch (message.kind) {
    case 'exited': {
      const { token, child, status } = message;
      return { what: { case: 'exited', value: { token, child, exit: status } } };
    }
    case 'held': {
      const { token, child, hold } = message;
      return { what: { case: 'held', value: { token, child, ...hold } } };
    }
    case 'orphaned':
    case 'revoked':
      return { what: { case: message.kind, value: message.token } };
    case 'audit':
      return {
        what: { case: 'audit', value: { children: [...message.children], parents: [...message.parents] } },
      };
  }
}

/** Undefined: of a later version. */
export function fromWire({ what }: HomeMessage): Message | undefined {
  switch (what.case) {
    case 'exited': {
      const { token, child, exit } = what.value;
      return { kind: 'exited', token, child, status: statusOf(exit) };
    }
    case 'held': {
      const { token, child, turn, signal } = what.value;
      return { kind: 'held', token, child, hold: { turn, signal } };
    }
    case 'orphaned':
    case 'revoked':
      return { kind: what.case, token: what.value };
    case 'audit':
      return { kind: 'audit', children: what.value.children, parents: what.value.parents };
    case undefined:
      return undefined;
  }
}

export const replyOf = (sent: readonly Message[], { noChildren, noParents }: TellResponse): Reply => ({
  taken: sent,
  noChildren,
  noParents,
});
