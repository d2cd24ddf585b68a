/* fcntl.h: locks of files, which wasi-libc leaves out (it has struct flock). */
#ifndef ODONATA_POSIX_FCNTL_H
#define ODONATA_POSIX_FCNTL_H
#include_next <fcntl.h>

#ifndef F_RDLCK
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#endif
#ifndef F_GETLK
#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#endif
#ifndef F_ULOCK
#define F_ULOCK 0
#define F_LOCK 1
#define F_TLOCK 2
#define F_TEST 3
#endif
#endif
