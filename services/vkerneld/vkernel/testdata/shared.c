// Asks for dataspaces, locks, waits and wakes; prints what is not as it should be. `shared wait` only waits.
#include "odonata.h"
#include <stdio.h>
#include <string.h>

static int failures;
static uint32_t word;

static void expect(const char *what, long long got, long long wanted) {
  if (got == wanted) return;
  failures++;
  printf("%s: %lld, not %lld\n", what, got, wanted);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1) {
    printf("waiting at %u\n", (unsigned)(uintptr_t)&word);
    fflush(stdout);
    return odonata_wait32(&word, 0, -1);
  }
  struct odonata_dataspace ds, again;
  expect("missing", odonata_ds_open("words", 5, 10000, 0, &ds), ODONATA_ENOENT);
  expect("create", odonata_ds_open("words", 5, 10000, ODONATA_OPEN_CREATE, &ds), 0);
  expect("size", ds.size_bytes, 10000);
  expect("open", odonata_ds_open("words", 5, 0, 0, &again), 0);
  expect("same", again.id, ds.id);
  expect("other size", odonata_ds_open("words", 5, 20000, ODONATA_OPEN_CREATE, &again), ODONATA_EINVAL);
  expect("exclusive", odonata_ds_open("words", 5, 10000, 3, &again), ODONATA_EEXIST);
  expect("no name", odonata_ds_open("", 0, 10000, 1, &again), ODONATA_EINVAL);
  expect("flags", odonata_ds_open("words", 5, 10000, 8, &again), ODONATA_EINVAL);
  expect("no text", odonata_ds_open("\xff", 1, 10000, 1, &again), 25);
  expect("nowhere", odonata_ds_open((void *)-8, 100, 10000, 1, &again), ODONATA_EFAULT);
  struct odonata_stat st;
  expect("stat", odonata_ds_stat(ds.id, &st), 0);
  expect("pages", st.pages, 3);
  expect("stat of none", odonata_ds_stat(999, &st), ODONATA_EBADF);

  char *at = odonata_reserve(65536);
  expect("map", odonata_ds_map(ds.id, at, 12288, 0, ODONATA_READ_WRITE), 0);
  expect("map part", odonata_ds_map(ds.id, at + 16384, 4096, 8192, ODONATA_READ), 0);
  expect("unaligned", odonata_ds_map(ds.id, at + 100, 4096, 0, ODONATA_READ), ODONATA_EINVAL);
  expect("length", odonata_ds_map(ds.id, at, 100, 0, ODONATA_READ), ODONATA_EINVAL);
  expect("nothing", odonata_ds_map(ds.id, at, 0, 0, ODONATA_READ), ODONATA_EINVAL);
  expect("offset", odonata_ds_map(ds.id, at, 4096, 100, ODONATA_READ), ODONATA_EINVAL);
  expect("beyond", odonata_ds_map(ds.id, at, 8192, 8192, ODONATA_READ), ODONATA_EINVAL);
  expect("protection", odonata_ds_map(ds.id, at, 4096, 0, 2), ODONATA_EINVAL);
  expect("not mine", odonata_ds_map(12345, at, 4096, 0, ODONATA_READ), ODONATA_EBADF);
  expect("outside", odonata_ds_map(ds.id, at + 65536, 4096, 0, ODONATA_READ), ODONATA_EINVAL);
  expect("unmap", odonata_ds_unmap(at, 12288), 0);
  expect("unaligned", odonata_ds_unmap(at + 1, 4096), ODONATA_EINVAL);

  expect("lock", odonata_lock(ds.id, 0, 99, ODONATA_LOCK_EXCLUSIVE, -1), 0);
  expect("try", odonata_lock(ds.id, 0, 99, ODONATA_LOCK_SHARED, 0), ODONATA_ETIMEDOUT);
  expect("unlock", odonata_unlock(ds.id, 0, 99), 0);
  expect("mode", odonata_lock(ds.id, 0, 99, 4, 0), ODONATA_EINVAL);
  expect("backwards", odonata_lock(ds.id, 5, 4, ODONATA_LOCK_SHARED, 0), ODONATA_EINVAL);
  expect("all", odonata_lock(ds.id, 0, INT64_MAX, ODONATA_LOCK_SHARED, 0), 0);
  expect("more than all", odonata_lock(ds.id, 0, UINT64_MAX, ODONATA_LOCK_SHARED, 0), ODONATA_EINVAL);
  expect("size", odonata_ds_open("huge", 4, UINT64_MAX, 1, &again), 22);
  expect("unlock all", odonata_unlock(ds.id, 0, INT64_MAX), 0);
  expect("negative", odonata_lock(ds.id, INT64_MIN, -1, ODONATA_LOCK_MODIFYING, 0), 0);
  expect("unlock a part", odonata_unlock(ds.id, -100, -50), 0);
  expect("lock of none", odonata_lock(999, 0, 1, ODONATA_LOCK_SHARED, 0), ODONATA_EBADF);

  uint32_t woken = 99;
  expect("differs", odonata_wait32(&word, 5, -1), ODONATA_EAGAIN);
  expect("times out", odonata_wait32(&word, 0, 20000000), ODONATA_ETIMEDOUT);
  expect("unaligned", odonata_wait32((void *)((char *)&word + 1), 0, 0), ODONATA_EINVAL);
  expect("wake", odonata_wake(&word, 1, &woken), 0);
  expect("nobody", woken, 0);
  expect("node", odonata_node_id(), 3);
  expect("vkernel", odonata_vkernel_id(), 7);
  expect("pid", odonata_process_id() > 0, 1);
  printf("%d failures\n", failures);
  return failures != 0;
}
