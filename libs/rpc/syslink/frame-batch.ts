// Frames as they are sent: a batch in one buffer that is just as large. What a circuit carries is copied once.
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttachRequestSchema,
  CircuitDataSchema,
  type Frame,
  FrameSchema,
} from '@odonata/proto/syslink/v1/syslink';
import { LARGE_BYTES, prefixOf } from '../large-bytes.ts';

/** Of a request and of a response. */
const FRAMES = AttachRequestSchema.field.frames.number;
const CIRCUIT_DATA = FrameSchema.field.circuitData.number;
const DATA = CircuitDataSchema.field.data.number;

/** @returns undefined where no frame carries many bytes: then the usual way is as fast */
export function encodeFrames(frames: readonly Frame[]): Buffer | undefined {
  if (!frames.some(isLarge)) return undefined;
  const pieces = frames.flatMap(piecesOf);
  const whole = Buffer.allocUnsafeSlow(lengthOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const isLarge = ({ frame }: Frame): boolean =>
  frame.case === 'circuitData' && frame.value.data.length >= LARGE_BYTES;

const lengthOf = (pieces: readonly Uint8Array[]): number =>
  pieces.reduce((sum, { length }) => sum + length, 0);

function piecesOf(each: Frame): Uint8Array[] {
  const { frame } = each;
  if (frame.case !== 'circuitData') return within(FRAMES, [toBinary(FrameSchema, each)]);
  const { circuit, data } = frame.value;
  const head = toBinary(CircuitDataSchema, create(CircuitDataSchema, { circuit }));
  return within(FRAMES, within(CIRCUIT_DATA, [head, ...within(DATA, [data])]));
}

/** A field of these bytes. */
const within = (fieldNumber: number, pieces: readonly Uint8Array[]): Uint8Array[] => [
  prefixOf(fieldNumber, lengthOf(pieces)),
  ...pieces,
];
