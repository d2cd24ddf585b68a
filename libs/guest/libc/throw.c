/*
 * What `throw` calls, for C++ that has exceptions in its sources and throws none on its way: a library of C++ that is built
 * without exceptions, as those of the distributions, lacks it. Link it in, and leave -fno-exceptions away:
 *
 *     clang++ --target=wasm32-wasi -O2 prog.cpp libs/guest/libc/throw.c -o prog.wasm
 *
 * No exception is caught: one that is thrown ends the program, with its type on standard error.
 */
#include <stdio.h>
#include <stdlib.h>

void *__cxa_allocate_exception(size_t bytes) {
  void *at = malloc(bytes);
  if (at == NULL) abort();
  return at;
}

void __cxa_free_exception(void *at) { free(at); }

/* As the C++ ABI has it: a type's second word is its name, as the linker knows it. */
struct type_info {
  const void *functions;
  const char *name;
};

_Noreturn void __cxa_throw(void *at, const struct type_info *type, void (*destroy)(void *)) {
  (void)at;
  (void)destroy;
  fprintf(stderr, "an exception of type %s was thrown, and exceptions are not there\n", type->name);
  abort();
}

/* Only a handler calls these, and none is ever reached. */
void *__cxa_begin_catch(void *at) { return at; }
void __cxa_end_catch(void) {}
_Noreturn void __cxa_rethrow(void) { abort(); }
