/* wasi-libc numbers signals as Linux does, with a 16 that WASI has not. */
#ifndef SIGNAL_NUMBERS_H
#define SIGNAL_NUMBERS_H
#include <signal.h>

static inline int to_wasi(int signal) { return signal == SIGSTKFLT ? -1 : signal > SIGSTKFLT ? signal - 1 : signal; }
static inline int from_wasi(int signal) { return signal >= SIGSTKFLT ? signal + 1 : signal; }
#endif
