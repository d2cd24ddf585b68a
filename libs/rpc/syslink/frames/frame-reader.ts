// Frames of bytes. Those that come by the thousand, written as everybody writes them, are read here, by hand. Whatever is in any
// way unusual (a field that nobody knows, fields out of turn, letters that are not ASCII, a bound that is passed) goes the usual
// way, by protobuf-es and the constraints of the .proto file: that decides what is taken, and says what is wrong.
import { type Caller, RoleSchema } from '@odonata/proto/auth/v1/access';
import {
  type Address,
  AttachRequestSchema,
  type CircuitData,
  type CircuitWindow,
  type Frame,
  FrameSchema,
  type Message,
  type Status,
} from '@odonata/proto/syslink/v1/syslink';
import { LARGE_BYTES } from '../../large-bytes.ts';
import { decoder } from '../../service.ts';
import { BULK_BYTES, HEAD_BYTES } from '../frame.ts';
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
import type { PassedData } from './passed-data.ts';

/** Of one batch, read by hand: what has more is nothing that our side wrote. */
const FRAMES_MAX = 4_096;
const GROUPS_MAX = 64;
const NAME_MAX = 512;
const PROTO_MAX = 256;
const REQUEST_ID_MAX = 128;
const REASON_MAX = 4_096;
const TRACE_MAX = 24;
const HOPS_MAX = 64;
const DEADLINE_MAX = 86_400_000;
const CODE_MAX = 16;
const ROLES = new Set(RoleSchema.values.map(({ number }) => number));
/** A view may keep so many bytes besides. */
const KEPT_BESIDE_BYTES = 1_024;
const NONE = new Uint8Array();

const decodeAll = decoder(AttachRequestSchema);
const decodeOne = decoder(FrameSchema);
const both = new BigUint64Array(1);
const halves = new Uint32Array(both.buffer);

/** The frames of a message of gRPC. Byte fields are views of it. @throws RpcError INVALID_ARGUMENT */
export function framesOf(message: Uint8Array): Frame[] {
  const bytes = new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
  return new FrameReader(bytes).frames() ?? decodeAll(kept(bytes)).frames;
}

/**
 * The frame of a message that came in several pieces, where it is what a circuit carries and nothing else: it stays in these pieces.
 * @param bytes of all of them
 * @returns undefined: it is to be read as a whole, as few bytes are: pieces would keep more than these
 */
export function passedOf(first: Uint8Array, more: readonly Uint8Array[], bytes: number): Frame | undefined {
  const found = bytes < LARGE_BYTES ? undefined : new FrameReader(first).passed(bytes);
  if (found === undefined) return undefined;
  const pieces = [first.subarray(found.at), ...more];
  const value: PassedData = {
    ...{ $typeName: 'odonata.syslink.v1.CircuitData', circuit: found.circuit, data: NONE, pieces },
  };
  return { $typeName: 'odonata.syslink.v1.Frame', frame: { case: 'circuitData', value } };
}

/** Reads on until something is unusual; then it is `strange`, and what it says does not count. */
class FrameReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #strange = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  frames(): Frame[] | undefined {
    const { length } = this.#bytes;
    const frames: Frame[] = [];
    while (this.#at < length) {
      if (this.#varint() !== FRAMES * 8 + 2 || frames.length >= FRAMES_MAX) return undefined;
      const end = this.#end(length);
      if (this.#strange) return undefined;
      const from = this.#at;
      let frame = this.#frame(end);
      if (this.#strange || this.#at !== end) {
        this.#strange = false;
        this.#at = end;
        try {
          frame = decodeOne(kept(this.#bytes.subarray(from, end)));
        } catch {
          return undefined;
        }
      }
      frames.push(frame!);
    }
    return frames;
  }

  /** What stands before the data of a circuit, which is all that there is. @param bytes of the message, of which this is the first piece */
  passed(bytes: number): { at: number; circuit: bigint } | undefined {
    if (this.#varint() !== FRAMES * 8 + 2 || this.#end(bytes) !== bytes) return undefined;
    if (this.#varint() !== FrameField.circuitData * 8 + 2 || this.#end(bytes) !== bytes) return undefined;
    if (this.#varint() !== DataField.circuit * 8) return undefined;
    const circuit = this.#varint64();
    if (this.#varint() !== DataField.data * 8 + 2 || this.#end(bytes) !== bytes) return undefined;
    const at = this.#at;
    return this.#strange || at > this.#bytes.length || bytes - at > BULK_BYTES ? undefined : { at, circuit };
  }

  #frame(end: number): Frame | undefined {
    const tag = this.#varint();
    if (
      tag !== FrameField.message * 8 + 2 &&
      tag !== FrameField.circuitData * 8 + 2 &&
      tag !== FrameField.circuitWindow * 8 + 2
    ) {
      this.#strange = true;
      return undefined;
    }
    const inner = this.#end(end);
    if (this.#strange || inner !== end) {
      this.#strange = true;
      return undefined;
    }
    const $typeName = 'odonata.syslink.v1.Frame';
    if (tag === FrameField.message * 8 + 2)
      return { $typeName, frame: { case: 'message', value: this.#message(end) } };
    if (tag === FrameField.circuitData * 8 + 2)
      return { $typeName, frame: { case: 'circuitData', value: this.#data(end) } };
    return { $typeName, frame: { case: 'circuitWindow', value: this.#window(end) } };
  }

  /** Of the next field; 0: there is none, or nothing that is read by hand. */
  #tag(end: number, last: number): number {
    if (this.#at >= end || this.#strange) return 0;
    const tag = this.#varint();
    if (tag <= last) this.#strange = true;
    return tag;
  }

  #message(end: number): Message {
    const message: Message = {
      ...{ $typeName: 'odonata.syslink.v1.Message', proto: '', msgid: 0n, reply: false, hopLimit: 0 },
      ...{ head: NONE, bulk: NONE, deadlineMs: 0, requestId: '' },
    };
    for (let tag = this.#tag(end, 0); tag !== 0; tag = this.#tag(end, tag)) {
      switch (tag) {
        case MessageField.to * 8 + 2:
          message.to = this.#address(end);
          break;
        case MessageField.from * 8 + 2:
          message.from = this.#address(end);
          break;
        case MessageField.proto * 8 + 2:
          message.proto = this.#text(end, PROTO_MAX);
          break;
        case MessageField.msgid * 8:
          message.msgid = this.#varint64();
          break;
        case MessageField.reply * 8:
          message.reply = this.#atMost(1) === 1;
          break;
        case MessageField.hopLimit * 8:
          message.hopLimit = this.#atMost(HOPS_MAX);
          break;
        case MessageField.head * 8 + 2:
          message.head = this.#view(end, HEAD_BYTES);
          break;
        case MessageField.bulk * 8 + 2:
          message.bulk = this.#view(end, BULK_BYTES);
          break;
        case MessageField.status * 8 + 2:
          message.status = this.#status(end);
          break;
        case MessageField.deadlineMs * 8:
          message.deadlineMs = this.#atMost(DEADLINE_MAX);
          break;
        case MessageField.requestId * 8 + 2:
          message.requestId = this.#text(end, REQUEST_ID_MAX);
          break;
        case MessageField.caller * 8 + 2:
          message.caller = this.#caller(end);
          break;
        case MessageField.trace * 8 + 2:
          message.trace = this.#view(end, TRACE_MAX);
          break;
        default:
          this.#strange = true;
      }
    }
    return message;
  }

  #address(outer: number): Address {
    const address: Address = { $typeName: 'odonata.syslink.v1.Address', sysid: 0n, name: '', session: 0n };
    const end = this.#end(outer);
    for (let tag = this.#tag(end, 0); tag !== 0; tag = this.#tag(end, tag)) {
      if (tag === AddressField.sysid * 8) address.sysid = this.#varint64();
      else if (tag === AddressField.name * 8 + 2) address.name = this.#text(end, NAME_MAX);
      else if (tag === AddressField.session * 8) address.session = this.#varint64();
      else this.#strange = true;
    }
    return this.#ended(end, address);
  }

  #caller(outer: number): Caller {
    const caller: Caller = { $typeName: 'odonata.auth.v1.Caller', role: 0, name: '', groups: [] };
    const end = this.#end(outer);
    let last = 0;
    while (this.#at < end && !this.#strange) {
      const tag = this.#varint();
      if (tag < last || (tag === last && tag !== CallerField.groups * 8 + 2)) this.#strange = true;
      last = tag;
      if (tag === CallerField.role * 8) caller.role = this.#varint();
      else if (tag === CallerField.name * 8 + 2) caller.name = this.#text(end, NAME_MAX);
      else if (tag === CallerField.groups * 8 + 2 && caller.groups.length < GROUPS_MAX)
        caller.groups.push(this.#text(end, NAME_MAX));
      else this.#strange = true;
    }
    if (!ROLES.has(caller.role)) this.#strange = true;
    return this.#ended(end, caller);
  }

  /** Details are unusual: most messages went well. */
  #status(outer: number): Status {
    const status: Status = { $typeName: 'odonata.syslink.v1.Status', code: 0, reason: '', details: [] };
    const end = this.#end(outer);
    for (let tag = this.#tag(end, 0); tag !== 0; tag = this.#tag(end, tag)) {
      if (tag === StatusField.code * 8) status.code = this.#atMost(CODE_MAX);
      else if (tag === StatusField.reason * 8 + 2) status.reason = this.#text(end, REASON_MAX);
      else this.#strange = true;
    }
    return this.#ended(end, status);
  }

  #data(end: number): CircuitData {
    const data: CircuitData = { $typeName: 'odonata.syslink.v1.CircuitData', circuit: 0n, data: NONE };
    for (let tag = this.#tag(end, 0); tag !== 0; tag = this.#tag(end, tag)) {
      if (tag === DataField.circuit * 8) data.circuit = this.#varint64();
      else if (tag === DataField.data * 8 + 2) data.data = this.#view(end, BULK_BYTES);
      else this.#strange = true;
    }
    return data;
  }

  #window(end: number): CircuitWindow {
    const window: CircuitWindow = {
      ...{ $typeName: 'odonata.syslink.v1.CircuitWindow', circuit: 0n, takenBytes: 0, earlierBytes: 0 },
    };
    for (let tag = this.#tag(end, 0); tag !== 0; tag = this.#tag(end, tag)) {
      if (tag === WindowField.circuit * 8) window.circuit = this.#varint64();
      else if (tag === WindowField.takenBytes * 8) window.takenBytes = this.#varint();
      else if (tag === WindowField.earlierBytes * 8) window.earlierBytes = this.#varint();
      else this.#strange = true;
    }
    return window;
  }

  #ended<T>(end: number, value: T): T {
    if (this.#at !== end) this.#strange = true;
    return value;
  }

  /** Reads a length. @returns where what has it ends */
  #end(outer: number): number {
    const end = this.#varint() + this.#at;
    if (end > outer) this.#strange = true;
    return end;
  }

  #atMost(most: number): number {
    const value = this.#varint();
    if (value > most) this.#strange = true;
    return value;
  }

  #view(outer: number, most: number): Uint8Array {
    const end = this.#end(outer);
    const from = this.#at;
    if (this.#strange || end - from > most) {
      this.#strange = true;
      return NONE;
    }
    this.#at = end;
    return kept(this.#bytes.subarray(from, end));
  }

  /** Printable ASCII: what has other letters is read by those who know them. */
  #text(outer: number, most: number): string {
    const end = this.#end(outer);
    const from = this.#at;
    if (this.#strange || end - from > most) {
      this.#strange = true;
      return '';
    }
    const bytes = this.#bytes;
    for (let at = from; at < end; at++) {
      const byte = bytes[at]!;
      if (byte < 0x20 || byte > 0x7e) this.#strange = true;
    }
    this.#at = end;
    return asciiOf(bytes, from, end);
  }

  /** Up to 32 bits. */
  #varint(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.#at++]!;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let shift = 7; shift <= 28; shift += 7) {
      byte = bytes[this.#at++]!;
      if (byte < 0x80) {
        if (shift === 28 && byte > 0x0f) break;
        return (value | (byte << shift)) >>> 0;
      }
      value |= (byte & 0x7f) << shift;
    }
    this.#strange = true;
    return 0;
  }

  #varint64(): bigint {
    const bytes = this.#bytes;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[this.#at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        if (shift === 63 && byte > 1) break;
        halves[0] = low >>> 0;
        halves[1] = high >>> 0;
        return both[0]!;
      }
    }
    this.#strange = true;
    return 0n;
  }
}

/** What is kept must not keep much more: who waits for a reader counts the bytes themselves. */
const kept = (view: Uint8Array): Uint8Array =>
  view.buffer.byteLength > 2 * view.length + KEPT_BESIDE_BYTES ? view.slice() : view;

function asciiOf(bytes: Uint8Array, from: number, end: number): string {
  if (end - from > 12)
    return Buffer.from(bytes.buffer, bytes.byteOffset + from, end - from).toString('latin1');
  let text = '';
  for (let at = from; at < end; at++) text += String.fromCharCode(bytes[at]!);
  return text;
}
