// The messages of the routes (libs/syslink/routes) as frames, and back.
import type { Frame, RouteUpdate } from '@odonata/proto/syslink/v1/syslink';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import type { LinkMessage, TargetRoutes } from '@odonata/syslink/routes/advertisement.ts';
import type { RouterStatement } from './statement.ts';

export function frameOfMessage(message: LinkMessage<RouterStatement>): Frame {
  switch (message.type) {
    case 'again':
      return frame({ case: 'routeUpdate', value: { update: { case: 'again', value: {} } } });
    case 'alive': {
      const value = BigInt(message.serial);
      return frame({ case: 'routeUpdate', value: { update: { case: 'aliveSerial', value } } });
    }
    case 'routes': {
      const { serial, all, more } = message;
      const targets = message.targets.map(({ router, statement, routes }) => {
        const ways = routes.map(({ path, tie }) => ({ path: [...path], tie }));
        return { router, statement: statement?.sealed, routes: ways };
      });
      const value = { serial: BigInt(serial), all, more, targets };
      return frame({ case: 'routeUpdate', value: { update: { case: 'routes', value } } });
    }
  }
}

/**
 * @param read checks a statement
 * @returns undefined: of a later version
 */
export function messageOfUpdate(
  { update }: RouteUpdate,
  read: (sealed: RouterStatement['sealed']) => RouterStatement,
): LinkMessage<RouterStatement> | undefined {
  switch (update.case) {
    case 'again':
      return { type: 'again' };
    case 'aliveSerial':
      return { type: 'alive', serial: Number(update.value) };
    case 'routes': {
      const { serial, all, more } = update.value;
      const targets = update.value.targets.map(
        ({ router, statement, routes }): TargetRoutes<RouterStatement> => {
          return { router, statement: statement && read(statement), routes };
        },
      );
      return { type: 'routes', serial: Number(serial), all, more, targets };
    }
    default:
      return undefined;
  }
}
