// How an import module of guests is described: in words of no language, so that each binding can be made from it.
//
// Texts name what they speak of in braces, and each binding writes it in its own way: `{sync}` is `odonata_sync()` in C
// and `sync` in AssemblyScript, `{ENOENT}` an error, `{CREATE}` a constant; parameters and plain code stand in backticks.

/** Of a parameter: what the guest passes. All but the 64-bit numbers are an i32 of WebAssembly. */
export type ParameterType =
  | 'i32'
  | 'u32'
  | 'i64'
  | 'u64'
  /** Where a range of linear memory begins. */
  | 'address'
  /** Where bytes begin that are only read. */
  | 'bytes'
  /** Where an aligned word stands that is only read. */
  | 'word'
  /** Where a number of 32 bits is stored. */
  | 'out u32'
  /** Where the structure of that name is stored. */
  | `out ${string}`;

export interface Parameter {
  readonly name: string;
  readonly type: ParameterType;
  readonly doc: string;
}

export interface FunctionDescription {
  readonly doc: string;
  readonly parameters: readonly Parameter[];
  /** `errno`: 0, or one of the errors; others cannot fail. */
  readonly result: 'errno' | 'i32' | 'i64';
  /** Errors by name, with what each means here. */
  readonly errors?: Readonly<Record<string, string>>;
}

export interface ConstantGroup {
  readonly doc: string;
  /** Names the group where a language has named groups. */
  readonly name: string;
  /** Before each name, where a language has none. */
  readonly prefix: string;
  readonly values: Readonly<Record<string, { readonly value: number; readonly doc?: string }>>;
}

export interface Structure {
  readonly doc: string;
  /** In this order, without gaps, little-endian. */
  readonly fields: readonly { readonly name: string; readonly type: 'u64'; readonly doc: string }[];
}

export interface ModuleDescription {
  readonly name: string;
  readonly pageBytes: { readonly value: number; readonly doc: string };
  readonly model: string;
  readonly rules: readonly string[];
  /** Numbers as WASI has them. */
  readonly errors: { readonly doc: string; readonly values: ConstantGroup['values'] };
  readonly constants: Readonly<Record<string, ConstantGroup>>;
  readonly structures: Readonly<Record<string, Structure>>;
  readonly functions: Readonly<Record<string, FunctionDescription>>;
}

type Passed<T extends ParameterType> = T extends 'i64' | 'u64' ? bigint : number;
type PassedAll<P extends readonly Parameter[]> = { -readonly [I in keyof P]: Passed<P[I]['type']> };
type Given<R extends FunctionDescription['result']> = R extends 'errno'
  ? number | undefined
  : R extends 'i64'
    ? bigint
    : number;

/** What a host must implement: each function by its name, with its parameters and its result. */
export type Implementation<M extends ModuleDescription> = {
  readonly [N in keyof M['functions']]: (
    ...args: PassedAll<M['functions'][N]['parameters']>
  ) => Given<M['functions'][N]['result']>;
};

const wide = (type: ParameterType): boolean => type === 'i64' || type === 'u64';

/** The WebAssembly type of a function: a letter a value (`i` 32 bits, `I` 64), parameters and results with a colon between. */
export function wasmTypeOf({ parameters, result }: FunctionDescription): string {
  return `${parameters.map(({ type }) => (wide(type) ? 'I' : 'i')).join('')}:${result === 'i64' ? 'I' : 'i'}`;
}

/** Of each function of a module. */
export function wasmTypesOf({ functions }: ModuleDescription): Record<string, string> {
  return Object.fromEntries(Object.entries(functions).map(([name, about]) => [name, wasmTypeOf(about)]));
}
