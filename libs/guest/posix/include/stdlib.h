/* stdlib.h: temporary files, which wasi-libc leaves out. */
#ifndef ODONATA_POSIX_STDLIB_H
#define ODONATA_POSIX_STDLIB_H
#include_next <stdlib.h>
#ifdef __cplusplus
extern "C" {
#endif

int mkstemp(char *);

#ifdef __cplusplus
}
#endif
#endif
