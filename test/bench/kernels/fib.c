/* fib: the SCALE-th Fibonacci number by plain recursion: calls and nothing else. */
#include "kernel.h"

__attribute__((noinline)) static uint64_t work(uint64_t n) { return n < 2 ? n : work(n - 1) + work(n - 2); }

int main(int argc, char **argv) { return run_kernel("fib", work, 38, argc, argv); }
