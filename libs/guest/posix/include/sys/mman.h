/* sys/mman.h: memory that processes share, on whatever nodes they run. */
#ifndef ODONATA_POSIX_SYS_MMAN_H
#define ODONATA_POSIX_SYS_MMAN_H
#ifndef _WASI_EMULATED_MMAN
#define _WASI_EMULATED_MMAN
#endif
/* Constants and declarations are wasi-libc's; where it hides what it does not have, they follow. */
#include_next <sys/mman.h>
#ifdef __cplusplus
extern "C" {
#endif

int shm_open(const char *, int, mode_t);
int shm_unlink(const char *);
void *mmap(void *, size_t, int, int, int, off_t);
int munmap(void *, size_t);
int mprotect(void *, size_t, int);
int msync(void *, size_t, int);
int madvise(void *, size_t, int);
int posix_madvise(void *, size_t, int);
int mlock(const void *, size_t);
int munlock(const void *, size_t);
int mlockall(int);
int munlockall(void);

#ifndef MADV_NORMAL
#define MADV_NORMAL 0
#define MADV_RANDOM 1
#define MADV_SEQUENTIAL 2
#define MADV_WILLNEED 3
#define MADV_DONTNEED 4
#endif

#ifdef __cplusplus
}
#endif
#endif
