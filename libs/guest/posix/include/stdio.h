/* stdio.h: popen, which wasi-libc leaves out. */
#ifndef ODONATA_POSIX_STDIO_H
#define ODONATA_POSIX_STDIO_H
#include_next <stdio.h>
#ifdef __cplusplus
extern "C" {
#endif

FILE *popen(const char *, const char *);
int pclose(FILE *);

#ifdef __cplusplus
}
#endif
#endif
