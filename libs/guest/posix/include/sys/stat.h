/* sys/stat.h: what wasi-libc leaves out, for there are no modes of files. */
#ifndef ODONATA_POSIX_SYS_STAT_H
#define ODONATA_POSIX_SYS_STAT_H
#include_next <sys/stat.h>
#ifdef __cplusplus
extern "C" {
#endif

mode_t umask(mode_t);
int chmod(const char *, mode_t);
int fchmod(int, mode_t);

#ifdef __cplusplus
}
#endif
#endif
