#!/bin/sh
# Builds a program of C with threads: sh cc.sh LIBRARY PROG.wasm SOURCE..., where build.sh made the folder LIBRARY.
set -eu
library=$(cd "$1" && pwd)
program=$2
shift 2
zig=${ZIG:-$(python3 -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))')}
export ZIG_GLOBAL_CACHE_DIR="$library/cache" ZIG_LOCAL_CACHE_DIR="$library/cache"
libc=$(dirname "$zig")/lib/libc
exec "$zig" build-exe -target wasm32-wasi -mcpu=generic+atomics+bulk_memory+mutable_globals -O ReleaseFast -fno-single-threaded \
  --name program -femit-bin="$program" --shared-memory --import-memory --export-memory --max-memory="${MAX_MEMORY:-268435456}" \
  --stack 1048576 --export=wasi_thread_start -isystem "$libc/include/wasm-wasi-musl" -isystem "$libc/include/generic-musl" \
  -cflags -D_REENTRANT -mthread-model posix -- "$@" "$libc/wasi/libc-bottom-half/crt/crt1-command.c" "$library/libc.a"
