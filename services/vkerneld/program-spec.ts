import type { ProgramSpec, RunRequest } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField, tryAgain } from '@odonata/rpc/refusal.ts';

export const MODULE_BYTES = 256 * 1024 * 1024;
/** All modules that come in at one time: they wait in memory. */
export const LOADING_BYTES = 512 * 1024 * 1024;
/** Arguments and variables together, as Linux has it; each counts with its end and a pointer to it. */
export const ARGUMENT_BYTES = 2 * 1024 * 1024;
const ARGUMENT_COSTS_BYTES = 5;
/** As a file's. */
const NAME_BYTES = 255;
/** Of a word that an error quotes. */
const SHOWN_CHARS = 80;
let loadingBytes = 0;

/** A program whose bytes are together, or that is named by the digest of them, and what its caller is charged for until it is handed on. */
/** Of SHA-256. */
export const DIGEST_BYTES = 32;

export interface Program {
  readonly spec: ProgramSpec;
  /** In order; one or more. */
  readonly module: readonly Uint8Array[];
  release(): void;
  /** Of one that is named by its digest, and is not there: its module is to come. */
  readonly readModule: () => Promise<void>;
}

/** Reads the start and the module's pieces. @throws RpcError INVALID_ARGUMENT, RESOURCE_EXHAUSTED */
export async function readProgram(
  first: RunRequest['event'],
  requests: AsyncIterator<RunRequest>,
): Promise<Program> {
  if (first.case !== 'start')
    throw new RpcError(Code.InvalidArgument, 'the first request must start the program');
  const spec = first.value;
  const module: Uint8Array[] = [];
  let bytes = 0;
  const release = () => {
    loadingBytes -= bytes;
    bytes = 0;
  };
  const take = (piece: Uint8Array) => {
    if (bytes + piece.length > MODULE_BYTES) {
      throw new RpcError(Code.InvalidArgument, `the module is larger than ${MODULE_BYTES / 2 ** 20} MiB`);
    }
    if (loadingBytes + piece.length > LOADING_BYTES) {
      throw tryAgain(Code.ResourceExhausted, 'too many modules are being loaded; try again soon');
    }
    bytes += piece.length;
    loadingBytes += piece.length;
    module.push(piece);
  };
  try {
    const { length } = spec.moduleSha256;
    if (length !== 0 && length !== DIGEST_BYTES)
      throw invalidField('start.module_sha256', `start.module_sha256: ${DIGEST_BYTES} bytes, not ${length}`);
    take(spec.module);
    if (length === 0 && spec.module.length === 0) await pieces();
    checkText(spec);
  } catch (error) {
    release();
    throw error;
  }
  return { spec, module, release, readModule: pieces };

  async function pieces(): Promise<void> {
    for (;;) {
      const event = await nextEvent(requests);
      if (event.case === 'moduleEnd') return;
      if (event.case !== 'module') {
        throw new RpcError(Code.InvalidArgument, `${event.case} before the end of the module`);
      }
      take(event.value);
    }
  }
}

/** @throws RpcError INVALID_ARGUMENT where there is none */
export async function nextEvent(requests: AsyncIterator<RunRequest>): Promise<RunRequest['event']> {
  const result = await requests.next();
  if (result.done)
    throw new RpcError(Code.InvalidArgument, 'the requests ended before the program was whole');
  return result.value.event;
}

/** For lists and logs: what is no text of it is replaced. */
export function shownArguments({ args, rawArgs }: ProgramSpec): string[] {
  return rawArgs.length > 0 ? rawArgs.map((word) => Buffer.from(word).toString()) : args;
}

/** As latin1, a character a byte. */
const bytesOf = (words: readonly string[], raw: readonly Uint8Array[]): string[] =>
  (raw.length > 0 ? raw.map((word) => Buffer.from(word)) : words.map((word) => Buffer.from(word))).map(
    (word) => word.toString('latin1'),
  );

function checkText(spec: ProgramSpec): void {
  const { name } = spec;
  const args = bytesOf(spec.args, spec.rawArgs);
  const env = bytesOf(spec.env, spec.rawEnv);
  if (Buffer.byteLength(name) > NAME_BYTES) {
    throw new RpcError(Code.InvalidArgument, `the name of the program is longer than ${NAME_BYTES} bytes`);
  }
  if (name === '') throw new RpcError(Code.InvalidArgument, 'the program has no name');
  let bytes = 0;
  for (const text of [...args, ...env]) bytes += text.length + ARGUMENT_COSTS_BYTES;
  if (bytes > ARGUMENT_BYTES) {
    throw new RpcError(
      Code.InvalidArgument,
      `arguments and variables (${args.length} and ${env.length}) take ${bytes} bytes, and may take ${ARGUMENT_BYTES}: ` +
        'pass what is large on standard input or in a file',
    );
  }
  for (const text of [name, ...args, ...env]) {
    if (text.includes('\0')) throw new RpcError(Code.InvalidArgument, 'a NUL in an argument or variable');
  }
  for (const variable of env) {
    if (variable.indexOf('=') < 1)
      throw new RpcError(
        Code.InvalidArgument,
        `"${Buffer.from(variable.slice(0, SHOWN_CHARS), 'latin1')}" is not NAME=VALUE`,
      );
  }
}
