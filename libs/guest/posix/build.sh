#!/bin/sh
# Builds libodonata-posix.a: sh libs/guest/posix/build.sh FOLDER
# CLANG and WASM_LD name other tools than clang and wasm-ld; CFLAGS come after ours.
set -eu
[ $# -eq 1 ] || {
  echo 'usage: build.sh FOLDER    makes FOLDER/libodonata-posix.a' >&2
  exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
for source in "$here"/source/*.c; do
  object=$made/$(basename "$source" .c).o
  # -matomics makes atomics what they say; see errors.h.
  ${CLANG:-clang} --target=wasm32-wasi -O2 -matomics -I "$here/include" -I "$here/.." ${CFLAGS:-} -c "$source" -o "$object"
done
# One object in the place of an archive: its calls of WASI have to come before those of the C library, all of them.
${WASM_LD:-wasm-ld} -r -o "$made/all.o" "$made"/*.o
mv "$made/all.o" "$1/libodonata-posix.a"
