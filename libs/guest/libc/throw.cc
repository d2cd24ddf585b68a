/*
 * What `throw` calls, for C++ that has exceptions in its sources and throws none on its way: a library of C++ that is built
 * without exceptions, as those of the distributions, lacks it. Link it in, and leave -fno-exceptions away:
 *
 *     clang++ --target=wasm32-wasi -O2 prog.cpp libs/guest/libc/throw.cc -o prog.wasm
 *
 * No exception is caught: one that is thrown ends the program, with its type on standard error.
 */
#include <cstdio>
#include <cstdlib>
#include <typeinfo>

extern "C" {
void *__cxa_allocate_exception(size_t bytes) noexcept {
  void *at = std::malloc(bytes);
  if (at == nullptr) std::abort();
  return at;
}

void __cxa_free_exception(void *at) noexcept { std::free(at); }

[[noreturn]] void __cxa_throw(void *, std::type_info *type, void (*)(void *)) {
  std::fprintf(stderr, "an exception of type %s was thrown, and exceptions are not there\n", type->name());
  std::abort();
}

/* Only handlers call these, and none is ever reached. */
void *__cxa_begin_catch(void *at) noexcept { return at; }
void __cxa_end_catch() {}
[[noreturn]] void __cxa_rethrow() { std::abort(); }
}
