// Standard streams of a process that are another one's, in the same virtual kernel.
import type { HeldDescriptor } from './held-descriptors.ts';
import type { Relay, RelayingProcess, Relays } from './process-spec.ts';

/** To where the streams lead that a parent hands on: its own, or what it has itself of another process. */
export function relaysOf(from: RelayingProcess, given: readonly HeldDescriptor[]): Relays {
  const streamOf = (to: number) => {
    const found = given.find((each) => each.to === to);
    return found !== undefined && 'stream' in found ? found.stream : undefined;
  };
  const output = (to: 1 | 2): Relay | undefined => {
    const stream = streamOf(to);
    if (stream !== 1 && stream !== 2) return undefined;
    return (stream === 1 ? from.relays.output : from.relays.error) ?? { process: from, stream };
  };
  const input = streamOf(0) === 0 ? (from.relays.input ?? from) : undefined;
  return { input, output: output(1), error: output(2) };
}

/** Of its streams those that lead to another process, and by which of its own. */
export const relayedOf = ({ output, error }: Relays): [Relay, 1 | 2][] => [
  ...(output === undefined ? [] : [[output, 1] as [Relay, 1 | 2]]),
  ...(error === undefined ? [] : [[error, 2] as [Relay, 1 | 2]]),
];
