#!/bin/sh
# Builds a program of C with threads: sh cc.sh LIBRARY PROG.wasm SOURCE..., where build.sh made the folder LIBRARY.
set -eu
[ $# -ge 3 ] || {
  echo 'usage: cc.sh LIBRARY PROG.wasm SOURCE...    builds a program; LIBRARY is the folder that build.sh made' >&2
  exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
[ -f "$1/libc.a" ] || {
  echo "cc.sh: $1 holds no libc.a. Make it first: sh $here/build.sh $1" >&2
  exit 1
}
library=$(cd "$1" && pwd)
program=$2
shift 2
. "$here/zig.sh"
export ZIG_GLOBAL_CACHE_DIR="$library/cache" ZIG_LOCAL_CACHE_DIR="$library/cache"
libc=$(dirname "$zig")/lib/libc
exec "$zig" build-exe -target wasm32-wasi -mcpu=generic+atomics+bulk_memory+mutable_globals -O ReleaseFast -fno-single-threaded \
  --name program -femit-bin="$program" --shared-memory --import-memory --export-memory --max-memory="${MAX_MEMORY:-268435456}" \
  --stack 1048576 --export=wasi_thread_start -isystem "$libc/include/wasm-wasi-musl" -isystem "$libc/include/generic-musl" \
  -cflags -D_REENTRANT -mthread-model posix -- "$@" "$libc/wasi/libc-bottom-half/crt/crt1-command.c" "$library/libc.a"
