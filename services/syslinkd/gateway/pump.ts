// From one circuit to another, in one direction: in order, no faster than the far end takes it, and with the end that it has.
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import type { Circuit } from '@odonata/rpc/syslink/circuit.ts';
import { PIECE_BYTES } from './session-circuits.ts';

const REASON_LENGTH = 500;

/** Words of another cluster, as they are shown: one line, and not long. */
export const shownWords = (words: string): string => words.slice(0, REASON_LENGTH).replace(/\p{Cc}/gu, ' ');

/** As the other cluster hears of it: its details are of ours, and for nobody else. */
export const plain = ({ code, details }: RpcError): RpcError => new RpcError(code, shownWords(details));

/**
 * @param said what comes by `from` and was not read yet
 * @param room waits until there is some
 */
export async function pump(
  said: AsyncIterable<Uint8Array>,
  from: Circuit,
  to: Circuit,
  room: () => Promise<void> | undefined,
): Promise<void> {
  try {
    for await (const data of said) {
      await room();
      if (data.length > PIECE_BYTES)
        throw new RpcError(
          Code.ResourceExhausted,
          `a message of ${data.length} bytes; ${PIECE_BYTES} cross at most`,
        );
      await to.write(data);
      if (to.over.fired) return;
    }
    if (from.over.fired) to.close();
    else to.half();
  } catch (error) {
    const failure = plain(fromServiceError(error));
    to.close(failure);
    from.close(failure);
  }
}
