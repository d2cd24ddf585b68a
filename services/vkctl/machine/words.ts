// What the door refused, in the words of vkctl.
import type { DoorRefusal, Refusal } from '../door/messages.ts';
import { Failure } from '../failure.ts';

const NEW_TOKEN = 'Make a new one on a machine of the cluster: vkctl node token add';

const WORDS: Record<Refusal, { what?: string; fix?: string }> = {
  TOKEN_UNKNOWN: {
    what: 'the cluster knows no such token: it was taken back, or is of an earlier life of it',
    fix: NEW_TOKEN,
  },
  TOKEN_OVER: { what: 'the time of the token is over', fix: NEW_TOKEN },
  TOKEN_USED: { what: 'the token was used as often as it counts', fix: NEW_TOKEN },
  NAME_TAKEN: { fix: 'Leave --name out, or take the other one out of the cluster: vkctl node rm NODE' },
  FULL: { fix: 'Take one out: vkctl node rm NODE' },
  EVER_FULL: { fix: 'Begin the cluster anew: vkctl down, vkctl up --address on its first machine.' },
  CLOCK: { fix: 'Set the clocks of both machines (NTP), and join again: the token still counts.' },
  VERSION: { fix: 'Install the same release on both.' },
  BAD_REQUEST: {},
  BUSY: { fix: 'Try again.' },
  NOT_IN: {},
  BROKEN: { fix: 'Try again, or see the log "door" on the machine where the cluster began.' },
};

export function refusalOf({ refusal, message }: DoorRefusal, name?: string): Failure {
  const { what = message, fix } = WORDS[refusal];
  const asked = refusal === 'NAME_TAKEN' && name !== undefined ? `--name ${name}: ` : '';
  return new Failure(`cannot join: ${asked}${what}`, fix === undefined ? {} : { fix });
}
