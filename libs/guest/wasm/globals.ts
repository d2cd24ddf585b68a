// The globals of a module, and the constant expressions that they begin with.
import { BinaryReader } from './binary.ts';

export interface Global {
  /** As it is encoded. */
  readonly type: number;
  readonly mutable: boolean;
  /** All of it, and where in that its value begins. */
  readonly whole: Uint8Array<ArrayBuffer>;
  readonly valueAt: number;
}

export const ValueType = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c } as const;
/** Instructions of constants, by the type that they make. */
export const constantOf: Readonly<Record<number, number>> = {
  [ValueType.i32]: 0x41,
  [ValueType.i64]: 0x42,
  [ValueType.f32]: 0x43,
  [ValueType.f64]: 0x44,
};

const END = 0x0b;
const VECTOR = 0xfd;
/** A reference to a type has its index behind it. */
const referenceTo = (type: number): boolean => type === 0x63 || type === 0x64;

/** @throws RangeError where it is cut short, or has an instruction that no constant has */
export function readGlobals(body: Uint8Array<ArrayBuffer>, most: number): Global[] {
  const reader = new BinaryReader(body, 0);
  const count = reader.u32();
  if (count > most) throw new RangeError(`${count} globals`);
  return Array.from({ length: count }, () => {
    const start = reader.at;
    const type = reader.u8();
    if (referenceTo(type)) reader.skipNumber();
    const mutable = reader.u8() === 1;
    const valueAt = reader.at - start;
    skipConstant(reader);
    return { type, mutable, valueAt, whole: body.subarray(start, reader.at) };
  });
}

/** Past a constant expression. */
export function skipConstant(reader: BinaryReader): void {
  for (;;) {
    const opcode = reader.u8();
    if (opcode === END) return;
    // Sums and products of integers have nothing behind them.
    if ((opcode >= 0x6a && opcode <= 0x6c) || (opcode >= 0x7c && opcode <= 0x7e)) continue;
    switch (opcode) {
      case 0x41: // i32.const
      case 0x42: // i64.const
      case 0x23: // global.get
      case 0xd0: // ref.null
      case 0xd2: // ref.func
        reader.skipNumber();
        break;
      case 0x43: // f32.const
        reader.bytes(4);
        break;
      case 0x44: // f64.const
        reader.bytes(8);
        break;
      case VECTOR:
        if (reader.u32() !== 12) throw new RangeError('no constant'); // v128.const
        reader.bytes(16);
        break;
      default:
        throw new RangeError('no constant');
    }
  }
}
