// Frames as bytes. Those that come by the thousand are written here, by hand; all others by protobuf-es. Both write the same.
import { toBinary } from '@bufbuild/protobuf';
import type { Caller } from '@odonata/proto/auth/v1/access';
import {
  type Address,
  type CircuitData,
  type CircuitWindow,
  type Frame,
  FrameSchema,
  type Message,
  type Status,
} from '@odonata/proto/syslink/v1/syslink';
import { LARGE_BYTES } from '../../large-bytes.ts';
import { BackWriter } from './back-writer.ts';
import {
  AddressField,
  CallerField,
  DataField,
  FRAMES,
  FrameField,
  MessageField,
  StatusField,
  WindowField,
} from './numbers.ts';
import { bytesIn, piecesOf } from './passed-data.ts';

const VARINT = 0;
const BYTES = 2;
const writer = new BackWriter();

/**
 * Frames as messages of gRPC, the five bytes in front of each included. Many bytes of a frame are a piece of their own: the frame's
 * own, and no copy. What a circuit carries, where it is much, has a message to itself: it is passed on without being looked into.
 */
export function framesMessages(frames: readonly Frame[]): Uint8Array[] {
  let after = 0;
  for (let i = frames.length - 1; i >= 0; i--) {
    const isAlone = isLarge(frames[i]!);
    if (isAlone) after = endMessage(after);
    writeFrame(frames[i]!);
    if (isAlone) after = endMessage(after);
  }
  endMessage(after);
  return writer.take();
}

const isLarge = ({ frame }: Frame): boolean =>
  frame.case === 'circuitData' && bytesIn(frame.value) >= LARGE_BYTES;

/** What was written since is a message. @returns where the one before it ends */
function endMessage(after: number): number {
  if (writer.length === after) return after;
  writer.bigEndian(writer.length - after);
  writer.byte(0);
  return writer.length;
}

function writeFrame(each: Frame): void {
  const { frame } = each;
  const before = writer.length;
  if (each.$unknown !== undefined || frame.value?.$unknown !== undefined)
    writer.bytes(toBinary(FrameSchema, each));
  else if (frame.case === 'message') {
    writeMessage(frame.value);
    end(FrameField.message, before);
  } else if (frame.case === 'circuitData') {
    writeData(frame.value);
    end(FrameField.circuitData, before);
  } else if (frame.case === 'circuitWindow') {
    writeWindow(frame.value);
    end(FrameField.circuitWindow, before);
  } else writer.bytes(toBinary(FrameSchema, each));
  end(FRAMES, before);
}

/** What was written since is a field. */
function end(field: number, before: number): void {
  writer.varint(writer.length - before);
  writer.varint(field * 8 + BYTES);
}

// The last field first.
function writeMessage(message: Message): void {
  const { to, from, status, caller, trace } = message;
  if (trace !== undefined) {
    writer.bytes(trace);
    writer.varint(trace.length);
    writer.varint(MessageField.trace * 8 + BYTES);
  }
  if (caller !== undefined) writeCaller(caller);
  text(MessageField.requestId, message.requestId);
  number(MessageField.deadlineMs, message.deadlineMs);
  if (status !== undefined) writeStatus(status);
  bytes(MessageField.bulk, message.bulk);
  bytes(MessageField.head, message.head);
  number(MessageField.hopLimit, message.hopLimit);
  if (message.reply) number(MessageField.reply, 1);
  number64(MessageField.msgid, message.msgid);
  text(MessageField.proto, message.proto);
  if (from !== undefined) writeAddress(MessageField.from, from);
  if (to !== undefined) writeAddress(MessageField.to, to);
}

function writeAddress(field: number, { sysid, name, session }: Address): void {
  const before = writer.length;
  number64(AddressField.session, session);
  text(AddressField.name, name);
  number64(AddressField.sysid, sysid);
  end(field, before);
}

function writeCaller({ role, name, groups }: Caller): void {
  const before = writer.length;
  for (let i = groups.length - 1; i >= 0; i--) item(CallerField.groups, groups[i]!);
  text(CallerField.name, name);
  number(CallerField.role, role);
  end(MessageField.caller, before);
}

function writeStatus({ code, reason, details }: Status): void {
  const before = writer.length;
  for (let i = details.length - 1; i >= 0; i--) {
    const { typeUrl, value } = details[i]!;
    const inner = writer.length;
    bytes(StatusField.detailValue, value);
    text(StatusField.detailType, typeUrl);
    end(StatusField.details, inner);
  }
  text(StatusField.reason, reason);
  number(StatusField.code, code);
  end(MessageField.status, before);
}

function writeData(data: CircuitData): void {
  const pieces = piecesOf(data);
  if (pieces === undefined) bytes(DataField.data, data.data);
  else {
    const before = writer.length;
    for (let i = pieces.length - 1; i >= 0; i--) writer.piece(pieces[i]!);
    end(DataField.data, before);
  }
  number64(DataField.circuit, data.circuit);
}

function writeWindow({ circuit, takenBytes, earlierBytes }: CircuitWindow): void {
  number(WindowField.earlierBytes, earlierBytes);
  number(WindowField.takenBytes, takenBytes);
  number64(WindowField.circuit, circuit);
}

// What is zero or empty is not written.
function number(field: number, value: number): void {
  if (value === 0) return;
  writer.varint(value);
  writer.varint(field * 8 + VARINT);
}

function number64(field: number, value: bigint): void {
  if (value === 0n) return;
  writer.varint64(value);
  writer.varint(field * 8 + VARINT);
}

function text(field: number, value: string): void {
  if (value !== '') item(field, value);
}

function item(field: number, value: string): void {
  writer.varint(writer.text(value));
  writer.varint(field * 8 + BYTES);
}

function bytes(field: number, value: Uint8Array): void {
  if (value.length === 0) return;
  writer.bytes(value);
  writer.varint(value.length);
  writer.varint(field * 8 + BYTES);
}
