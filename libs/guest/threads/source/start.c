// Where a thread begins: its stack and its thread-local variables first, then all the rest. What it has may be freed as soon as
// `gone` is set; until then nothing here is on its stack, as all of it is in locals.
#include "thread.h"

__attribute__((export_name("wasi_thread_start"))) void wasi_thread_start(int tid, struct block *block) {
  __asm__ volatile(
      "local.get %0\n.globaltype __stack_pointer, i32\nglobal.set __stack_pointer\n"
      "local.get %1\n.globaltype __tls_base, i32\nglobal.set __tls_base\n" ::"r"(block->stack),
      "r"(block->tls));
  odonata_thread_run(tid, block);
  __atomic_store_n(&block->gone, 1, __ATOMIC_SEQ_CST);
  __builtin_wasm_memory_atomic_notify((int *)&block->gone, -1);
}
