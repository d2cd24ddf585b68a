/**
 * What AssemblyScript's own library does not have of WASI preview 1: output, arguments, variables, an end.
 *
 * A program is the top level of its file; `--exportStart` makes that WASI's entry point:
 *
 *     asc prog.ts --exportStart _start --enable threads --use abort=libs/guest/assembly/wasi/onAbort -o prog.wasm
 *
 * The path of `onAbort` is as asc names the file: from the folder where it is started, without ".ts". Without it, and with
 * `console.log` in the place of `print`, a program runs in a virtual kernel too, but nowhere else.
 */

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: i32, vectors: usize, count: i32, outWritten: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "args_sizes_get")
declare function args_sizes_get(outCount: usize, outBytes: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "args_get")
declare function args_get(pointers: usize, bytes: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "environ_sizes_get")
declare function environ_sizes_get(outCount: usize, outBytes: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "environ_get")
declare function environ_get(pointers: usize, bytes: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "proc_exit")
declare function proc_exit(code: i32): void;

const out = memory.data(16, 8);

function write(fd: i32, text: string): void {
  const utf8 = String.UTF8.encode(text + "\n");
  let at = changetype<usize>(utf8);
  let left = utf8.byteLength;
  while (left > 0) {
    store<usize>(out, at);
    store<i32>(out, left, 4);
    if (fd_write(fd, out, 1, out + 8) != 0) unreachable();
    const written = load<i32>(out, 8);
    at += written;
    left -= written;
  }
}

/** A line on standard output. */
export function print(text: string): void {
  write(1, text);
}

/** A line on standard error. */
export function printError(text: string): void {
  write(2, text);
}

/** Ends the program; does not return. */
export function exit(code: i32): void {
  proc_exit(code);
  unreachable();
}

/** The program's name and its arguments. */
export function programArguments(): string[] {
  if (args_sizes_get(out, out + 4) != 0) unreachable();
  const count = load<i32>(out);
  const pointers = heap.alloc(count * 4);
  const bytes = heap.alloc(load<i32>(out, 4));
  if (args_get(pointers, bytes) != 0) unreachable();
  return strings(count, pointers, bytes);
}

/** A variable of the environment; null where it is not set. */
export function variable(name: string): string | null {
  if (environ_sizes_get(out, out + 4) != 0) unreachable();
  const count = load<i32>(out);
  const pointers = heap.alloc(count * 4);
  const bytes = heap.alloc(load<i32>(out, 4));
  if (environ_get(pointers, bytes) != 0) unreachable();
  const all = strings(count, pointers, bytes);
  for (let i = 0; i < all.length; i++) {
    if (all[i].startsWith(name + "=")) return all[i].substring(name.length + 1);
  }
  return null;
}

/** Takes the memory of both back. */
function strings(count: i32, pointers: usize, bytes: usize): string[] {
  const list: string[] = [];
  for (let i = 0; i < count; i++) {
    const begin = load<usize>(pointers + i * 4);
    let end = begin;
    while (load<u8>(end) != 0) end++;
    list.push(String.UTF8.decodeUnsafe(begin, end - begin));
  }
  heap.free(pointers);
  heap.free(bytes);
  return list;
}

/** Where asc sends failed assertions and out-of-range accesses of its library (`--use abort=…`). */
export function onAbort(message: string | null, file: string | null, line: u32, column: u32): void {
  printError("abort: " + (message === null ? "?" : message) + " at line " + line.toString());
  unreachable();
}
