// What a circuit carries, in a router: it goes on as it came, in the pieces that it came in. Nobody looks into it, and nothing is copied.
import type { CircuitData, Frame } from '@odonata/proto/syslink/v1/syslink';

/** Its `data` is empty: that is in the pieces. */
export interface PassedData extends CircuitData {
  readonly pieces: readonly Uint8Array[];
}

export const piecesOf = (data: CircuitData): readonly Uint8Array[] | undefined =>
  (data as Partial<PassedData>).pieces;

export function bytesIn(data: CircuitData): number {
  const pieces = piecesOf(data);
  return pieces === undefined ? data.data.length : pieces.reduce((sum, { length }) => sum + length, 0);
}

/** For whoever needs it as one: it is copied. */
export function joined(each: Frame): Frame {
  const { frame } = each;
  const pieces = frame.case === 'circuitData' ? piecesOf(frame.value) : undefined;
  if (frame.case !== 'circuitData' || pieces === undefined) return each;
  const { $typeName, circuit } = frame.value;
  const data = new Uint8Array(Buffer.concat(pieces as Uint8Array[]));
  return { ...each, frame: { case: 'circuitData', value: { $typeName, circuit, data } } };
}
