// Where a login goes: USER@CONTEXT, each of which may be left out.
import { contextNames } from '@odonata/client/local/contexts.ts';
import { EXIT, Failure } from '../failure.ts';
import { contextOf, HERE } from './context.ts';

export interface Destination {
  readonly user: string | undefined;
  /** Empty: clusters of this machine; undefined: what any other command means. */
  readonly context: string | undefined;
}

/** @throws Failure where no context is meant, or several are */
export function contextFor(text: string): Destination {
  const at = text.indexOf('@');
  const user = at > 0 ? text.slice(0, at) : undefined;
  const named = text.slice(at + 1);
  if (named === HERE) return { user, context: '' };
  if (named !== '') {
    const names = contextNames();
    if (names.includes(named)) return { user, context: named };
    throw new Failure(`login: no context "${named}"; contexts: ${names.join(', ') || 'none'}`, {
      fix: `Get one: vkctl user add NAME on the machine of the cluster, then vkctl context add NAME.context here. A command stands after a destination: vkctl login @ ${text}`,
      exitCode: EXIT.usage,
    });
  }
  if (user === undefined) return { user, context: undefined };
  const theirs = contextNames().filter((name) => contextOf(name).folder.identity.caller.name === user);
  if (theirs.length <= 1) return { user, context: theirs[0] };
  throw new Failure(`login: ${user} has several contexts: ${theirs.join(', ')}`, {
    fix: `Name one: vkctl login ${user}@${theirs[0]}`,
    exitCode: EXIT.usage,
  });
}
