#!/bin/sh
# Builds a C library with threads: sh build.sh DIR. It is wasi-libc and musl's threads, from the sources that the wheel ziglang 0.13.0
# has, over the few files of source/ here. Needs python3 with that wheel (pip install ziglang==0.13.0), or ZIG=the path of its zig.
set -eu
[ $# -eq 1 ] || {
  echo 'usage: build.sh FOLDER    makes FOLDER/libc.a, a C library with threads' >&2
  exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/zig.sh"
mkdir -p "$1"
out=$(cd "$1" && pwd)
export ZIG_GLOBAL_CACHE_DIR="$out/cache" ZIG_LOCAL_CACHE_DIR="$out/cache"
libc=$(dirname "$zig")/lib/libc
wasi=$libc/wasi
top=$wasi/libc-top-half/musl
target="-target wasm32-wasi -mcpu=generic+atomics+bulk_memory+mutable_globals"

includes="-I$here/source -I$top/src/include -I$top/src/internal -I$top/arch/wasm32 -I$top/arch/generic
  -I$wasi/libc-top-half/headers/private -I$wasi/libc-bottom-half/headers/private -I$wasi/libc-bottom-half/cloudlibc/src
  -I$wasi/libc-bottom-half/cloudlibc/src/include -I$libc/musl/src/include -I$libc/musl/src/internal
  -isystem $libc/include/wasm-wasi-musl -isystem $libc/include/generic-musl"
common="-std=gnu17 -O2 -w -Wno-int-conversion -fno-trapping-math -mthread-model posix -D_REENTRANT -DBULK_MEMORY_THRESHOLD=32
  -D__EMSCRIPTEN_PTHREADS__ -D_WASI_EMULATED_PROCESS_CLOCKS -D_WASI_EMULATED_SIGNAL"

# What wasi-libc has, but what its linker option alone brings, and its own ends of threads.
find "$wasi" -name '*.c' ! -path '*/crt/*' ! -path '*/signal/*' ! -path '*/mman/*' ! -path '*/getpid/*' ! -path '*/thread/*' | sort > "$out/wasi.list"
# Of musl's threads: what makes none and ends none.
threads='__lock default_attr lock_ptc pthread_attr_destroy pthread_attr_init pthread_attr_setdetachstate
  pthread_attr_setstack pthread_attr_setstacksize pthread_barrier_destroy pthread_barrier_init pthread_barrier_wait
  pthread_barrierattr_destroy pthread_barrierattr_init pthread_barrierattr_setpshared pthread_cleanup_push
  pthread_cond_broadcast pthread_cond_destroy pthread_cond_init pthread_cond_signal pthread_cond_timedwait pthread_cond_wait
  pthread_condattr_destroy pthread_condattr_init pthread_condattr_setpshared pthread_equal
  pthread_getspecific pthread_key_create pthread_mutex_consistent pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock
  pthread_mutex_timedlock pthread_mutex_trylock pthread_mutex_unlock pthread_mutexattr_destroy pthread_mutexattr_init
  pthread_mutexattr_setpshared pthread_mutexattr_settype pthread_once pthread_rwlock_destroy pthread_rwlock_init
  pthread_rwlock_rdlock pthread_rwlock_timedrdlock pthread_rwlock_timedwrlock pthread_rwlock_tryrdlock pthread_rwlock_trywrlock
  pthread_rwlock_unlock pthread_rwlock_wrlock pthread_rwlockattr_destroy pthread_rwlockattr_init pthread_rwlockattr_setpshared
  pthread_self pthread_setcancelstate pthread_setspecific pthread_spin_destroy pthread_spin_init pthread_spin_lock
  pthread_spin_trylock pthread_spin_unlock pthread_testcancel sem_destroy sem_getvalue sem_init sem_post sem_timedwait sem_trywait
  sem_wait'
musl=
for name in $threads; do musl="$musl $libc/musl/src/thread/$name.c"; done
# Streams that threads share.
for name in __lockfile flockfile ftrylockfile funlockfile; do musl="$musl $libc/musl/src/stdio/$name.c"; done
exec "$zig" build-lib $target -O ReleaseFast --name c -femit-bin="$out/libc.a" $includes \
  -cflags $common -- $(cat "$out/wasi.list") \
  -cflags $common -include "$here/source/linux.h" -- $musl "$here/source/futex.c" "$here/source/thread.c" \
  "$here/source/start.c"
