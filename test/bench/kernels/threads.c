/*
 * threads: products of matrices of doubles by two threads, each half of the rows, SCALE times.  Without a C library, which has no
 * threads on most machines: it imports wasi.thread-spawn and the calls of preview 1 itself, and nothing of it is on a stack.
 */
#include <stdint.h>

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define PREVIEW1(name) IMPORT("wasi_snapshot_preview1", name)

enum { N = 256, THREADS = 2, MONOTONIC = 1, THREAD_CPUTIME = 3 };

IMPORT("wasi", "thread-spawn") int spawn(int argument);
PREVIEW1("args_sizes_get") int args_sizes_get(uint32_t *count, uint32_t *bytes);
PREVIEW1("args_get") int args_get(char **words, char *bytes);
PREVIEW1("clock_time_get") int clock_time_get(int clock, uint64_t precision, uint64_t *ns);
PREVIEW1("fd_write") int fd_write(int fd, const void *slices, int count, uint32_t *written);
PREVIEW1("proc_exit") _Noreturn void proc_exit(int code);

static double a[N * N], b[N * N], c[N * N];
static int scale, ready, go, done;
static uint64_t begin_ns, end_ns;
/* Of the threads: processor time of the work. */
static uint64_t cpu_begin_ns[THREADS], cpu_end_ns[THREADS];
static char text[200], words[4096], *arguments[16];
static struct { char *at; int length; } slice;
static uint32_t result, result2;

static void wait_until(int *word, int value) {
  for (int seen; (seen = __atomic_load_n(word, __ATOMIC_SEQ_CST)) != value;)
    __builtin_wasm_memory_atomic_wait32(word, seen, -1);
}

static void add(int *word) {
  __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
  __builtin_wasm_memory_atomic_notify(word, -1);
}

__attribute__((noinline)) static void multiply(int from, int to) {
  for (int i = from; i < to; i++)
    for (int k = 0; k < N; k++) {
      double factor = a[i * N + k];
      for (int j = 0; j < N; j++) c[i * N + j] += factor * b[k * N + j];
    }
}

__attribute__((export_name("wasi_thread_start"))) void wasi_thread_start(int thread, int part) {
  (void)thread;
  add(&ready);
  wait_until(&go, 1);
  clock_time_get(THREAD_CPUTIME, 0, &cpu_begin_ns[part]);
  for (int round = 0; round < scale; round++) multiply(part * (N / THREADS), (part + 1) * (N / THREADS));
  clock_time_get(THREAD_CPUTIME, 0, &cpu_end_ns[part]);
  add(&done);
}

static char *put(char *at, const char *from) {
  while (*from) *at++ = *from++;
  return at;
}

static char *put_number(char *at, uint64_t value) {
  int digits = 1;
  for (uint64_t rest = value; rest >= 10; rest /= 10) digits++;
  for (int i = digits; i-- > 0; value /= 10) at[i] = (char)('0' + value % 10);
  return at + digits;
}

__attribute__((export_name("_start"))) void _start(void) {
  args_sizes_get(&result, &result2);
  if (result != 2 || result2 > sizeof words || args_get(arguments, words) != 0) proc_exit(64);
  for (const char *digit = arguments[1]; *digit; digit++) scale = scale * 10 + *digit - '0';
  for (int i = 0; i < N * N; i++) {
    a[i] = i % 97 - 48;
    b[i] = i % 89 - 44;
  }
  for (int part = 0; part < THREADS; part++)
    if (spawn(part) <= 0) proc_exit(71);
  wait_until(&ready, THREADS);
  clock_time_get(MONOTONIC, 0, &begin_ns);
  add(&go);
  wait_until(&done, THREADS);
  clock_time_get(MONOTONIC, 0, &end_ns);
  uint64_t checksum = 0;
  for (int i = 0; i < N * N; i++) checksum = checksum * 31 + (uint64_t)(int64_t)c[i];
  char *at = put(text, "{\"kernel\":\"threads\",\"ns\":");
  at = put(put_number(at, end_ns - begin_ns), ",\"cpuNs\":");
  uint64_t cpu_ns = 0;
  for (int part = 0; part < THREADS; part++) cpu_ns += cpu_end_ns[part] - cpu_begin_ns[part];
  at = put(put_number(at, cpu_ns), ",\"checksum\":\"");
  at = put(put_number(at, checksum), "\"}\n");
  slice.at = text;
  slice.length = at - text;
  fd_write(1, &slice, 1, &result);
}
