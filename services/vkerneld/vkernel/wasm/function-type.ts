// Types of functions, as short text: a letter a value, parameters and results with a colon between. `iI:i` takes an i32
// and an i64 and returns an i32.

const letters: Readonly<Record<number, string>> = { 127: 'i', 126: 'I', 125: 'f', 124: 'F' };
const names: Readonly<Record<string, string>> = { i: 'i32', I: 'i64', f: 'f32', F: 'f64', '?': 'other' };

/** Of a value's type in the binary format; `?` for vectors and references. */
export function letterOf(valueType: number): string {
  return letters[valueType] ?? '?';
}

/** For a person: (i32, i64) -> i32. */
export function shownType(type: string): string {
  const [parameters, results] = type.split(':').map((part) => [...part].map((letter) => names[letter]));
  return `(${parameters!.join(', ')}) -> ${results!.length === 1 ? results![0] : `(${results!.join(', ')})`}`;
}
