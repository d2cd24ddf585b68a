// What `vkctl vkernel` says beside what was asked for: nodes that hear it later, and what is no more.
import type { NamesAllowed } from '@odonata/client/vkernels.ts';
import type { Vkernel } from '@odonata/proto/vkernel/v1/vkernel';
import { say } from '../output.ts';
import type { PlaceOptions } from './vkernel-quota.ts';

export const nodesOf = (each: readonly { node: string }[]): string => each.map(({ node }) => node).join(', ');

/** Of a part that another cluster has of this machine, the cluster is named whose node the machine is. */
export const ofHost = <O extends { cluster?: string; hostCluster?: string }>(options: O): O =>
  options.hostCluster === undefined ? options : { ...options, cluster: options.hostCluster };

/** Nodes that rest or are away, and take it when they are back. */
export class Later {
  readonly #isPlain: boolean;
  away: readonly string[] = [];

  constructor({ json }: PlaceOptions) {
    this.#isPlain = json !== true;
  }

  readonly onAway = (nodes: string[]): void => {
    this.away = nodes;
  };

  tell(what: string): void {
    if (this.#isPlain && this.away.length > 0) say(`${what} on ${this.away.join(', ')} when that is back`);
  }
}

/** What is said of names replaces what was: whoever wanted to add one says it with the others. */
export function sayNamesBefore(before: readonly Vkernel[], now: readonly Vkernel[]): void {
  const flagsOf = ({ listen, connect, none }: NamesAllowed): string[] => [
    ...listen.map((rule) => `--may-listen ${rule}`),
    ...connect.map((rule) => `--may-connect ${rule}`),
    ...(none ? ['--no-names'] : []),
  ];
  const gone = now.map(({ node, name, user, names: after }) => {
    const was = before.find((each) => each.node === node && each.name === name && each.user === user)?.names;
    const left = after === undefined ? [] : flagsOf(after);
    return {
      node,
      said:
        was === undefined
          ? ''
          : flagsOf(was)
              .filter((flag) => !left.includes(flag))
              .join(' '),
    };
  });
  for (const [said, nodes] of Map.groupBy(gone, (each) => each.said))
    if (said !== '') say(`before, and no more, it had ${said} on ${nodesOf(nodes)}`);
}
