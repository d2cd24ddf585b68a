#!/bin/sh
# Builds the programs of a login: sh programs/build.sh TOYBOX.tar.xz FOLDER
# CLANG and WASM_LD name other tools than clang and wasm-ld.
set -eu
exec </dev/null
[ $# -eq 2 ] || {
  echo 'usage: build.sh TOYBOX.tar.xz FOLDER    makes FOLDER/toybox, FOLDER/sh and their names' >&2
  exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
guest=$here/../libs/guest
mkdir -p "$2"
out=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
clang=${CLANG:-clang}
flags="--target=wasm32-wasi -O2 -matomics -ffunction-sections -fdata-sections -D_WASI_EMULATED_SIGNAL
  -D_WASI_EMULATED_PROCESS_CLOCKS -I $guest/posix/include -I $guest"
# The words of another C: newer compilers take them for errors.
foreign='-w -Wno-implicit-function-declaration -Wno-int-conversion -Wno-incompatible-pointer-types'
link="-Wl,--stack-first,-z,stack-size=1048576,--gc-sections,--strip-debug -L $work -lodonata-posix
  -lwasi-emulated-signal -lwasi-emulated-process-clocks"

compile() { # prefix, flags; sources on standard input
  xargs -P 2 -I{} sh -c 'object=$1/$2_$(echo "$4" | tr / _).o; exec '"$clang"' $3 -c "$4" -o "$object"' - "$work" "$1" "$2" {}
}

sh "$guest/posix/build.sh" "$work"

# Its own scripts make headers of its configuration, by programs of this machine.
tar xf "$1" -C "$work"
source=$(echo "$work"/toybox-*)
(
  cd "$source"
  GIT_CEILING_DIRECTORIES=$work git apply "$here/toybox/toybox.patch"
  KCONFIG_ALLCONFIG=$here/toybox/toybox.config make allnoconfig
  sed -i 's/^CONFIG_TOYBOX_FORK=y/# CONFIG_TOYBOX_FORK is not set/' .config
  NOBUILD=1 bash scripts/make.sh
) >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
cd "$source"
names=$(sed -n 's/^CONFIG_\([A-Z0-9_]*\)=y/\1/p' .config | tr 'A-Z\n' 'a-z|' | sed 's/|$//')
{
  grep -lE "TOY[(]($names)[ ,]" toys/*/*.c
  echo main.c lib/args.c lib/commas.c lib/dirtree.c lib/env.c lib/lib.c lib/llist.c lib/portability.c lib/tty.c lib/utf8.c lib/xwrap.c | tr ' ' '\n'
  ls "$here"/toybox/source/*.c
} | compile toybox "$flags $foreign -D__linux__ -I $here/toybox/include -I . -include odonata-toybox.h"
wrap=-Wl$(for call in open openat stat lstat fstat fstatat sysconf mkdir mkdirat; do printf ',--wrap=%s' "$call"; done)
# shellcheck disable=SC2086
$clang --target=wasm32-wasi "$work"/toybox_*.o $link "$wrap" -o "$work/toybox.wasm"

[ -d "$here/shell" ] && {
  ls "$here"/shell/*.c | compile shell "$flags -Wall -Wextra -Werror -I $here/shell"
  # shellcheck disable=SC2086
  $clang --target=wasm32-wasi "$work"/shell_*.o $link -o "$work/sh.wasm"
  mv "$work/sh.wasm" "$out/sh"
}
mv "$work/toybox.wasm" "$out/toybox"
for name in $(echo "$names" | tr '|' ' '); do
  case $name in toybox* | test_glue | sort_float) continue ;; esac
  ln -sf toybox "$out/$name"
done
ln -sf toybox "$out/["
