// What a program wrote, for the terminal of somebody who only looks at it: an escape in it might rename the window, hide
// lines, or answer as if it had been typed.

const CARET = 0x5e;
const [TAB, NEWLINE, RETURN, DELETE] = [0x09, 0x0a, 0x0d, 0x7f] as const;
/** Of the control characters of ISO 6429's other half (C1) in UTF-8; the second byte is 0x80 to 0x9f. */
const C1_LEAD = 0xc2;

/** Control characters as `cat -v` shows them, all but tabs and ends of lines. */
export function withCarets(bytes: Uint8Array): Uint8Array {
  const shown: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    const next = bytes[i + 1];
    if (byte === C1_LEAD && next !== undefined && next >= 0x80 && next < 0xa0) {
      shown.push(0x4d, 0x2d, CARET, next - 0x80 + 0x40); // M-^[
      i++;
    } else if (byte === DELETE) shown.push(CARET, 0x3f);
    else if (byte < 0x20 && byte !== TAB && byte !== NEWLINE && !(byte === RETURN && next === NEWLINE))
      shown.push(CARET, byte + 0x40);
    else shown.push(byte);
  }
  return Uint8Array.from(shown);
}
