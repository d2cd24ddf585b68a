// What a thread starts with.
#pragma once

struct block {
  unsigned char *stack;
  /// It is on its stack no more.
  volatile int gone;
  void *tls;
  void *(*run)(void *);
  void *argument;
  struct block *next;
};

/// In the new thread, on its stack, with its variables.
__attribute__((noinline)) void odonata_thread_run(int tid, struct block *block);
